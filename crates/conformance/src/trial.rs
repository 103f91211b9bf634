use crate::shrink::shrink;
use crate::{Balancer, CreateFailure, Profile, Settings, Subject};

/// A promise, and how to try it.
pub(crate) struct Property {
    /// Stable name, such as `B1`.
    pub(crate) id: &'static str,
    /// It is held against plugins of any of these.
    pub(crate) profiles: &'static [Profile],
    pub(crate) promise: &'static str,
    /// Whether it is part of a quick run, such as the one before an upload goes live.
    pub(crate) quick: bool,
    pub(crate) check: fn(&mut Trial<'_>) -> Checked,
}

impl Property {
    /// Of a quick run, too.
    pub(crate) const fn quick(
        id: &'static str,
        profile: &'static [Profile],
        promise: &'static str,
        check: Check,
    ) -> Self {
        Self { id, profiles: profile, promise, quick: true, check }
    }

    pub(crate) const fn thorough(
        id: &'static str,
        profile: &'static [Profile],
        promise: &'static str,
        check: Check,
    ) -> Self {
        Self { id, profiles: profile, promise, quick: false, check }
    }
}

type Check = fn(&mut Trial<'_>) -> Checked;

pub(crate) type Checked = Result<(), Stop>;

/// Why a property was not found to hold.
#[derive(Debug)]
pub(crate) enum Stop {
    Broken {
        how: String,
        /// The least that was found to break it, in words.
        smallest: Option<String>,
    },
    /// Nothing could be found out.
    Skipped(String),
}

impl From<String> for Stop {
    fn from(how: String) -> Self {
        Self::Broken { how, smallest: None }
    }
}

/// A role of the plugin with the configuration that it is tried with.
pub(crate) struct Use {
    pub(crate) role: String,
    pub(crate) config: String,
    /// Nobody gave a configuration, and it refuses `{}`, which nobody promised that it takes.
    pub(crate) refusal: Option<String>,
}

impl Use {
    pub(crate) fn of(subject: &dyn Subject, role: &str, settings: &Settings) -> Self {
        let given = settings.config.clone().or_else(|| subject.config_in_use(role));
        let config = given.clone().unwrap_or_else(|| "{}".into());
        let refusal = match (given, subject.create(role, &config)) {
            (None, Err(CreateFailure::Refused(why))) => {
                Some(format!("as {role} it takes no `{config}` ({why}): give it a configuration"))
            }
            _ => None,
        };
        Self { role: role.to_owned(), config, refusal }
    }

    /// The configuration that a role is tried with.
    pub(crate) fn config<'a>(uses: &'a [Self], role: &str) -> &'a str {
        uses.iter().find(|of| of.role == role).map_or("{}", |of| &of.config)
    }
}

/// What a property has to work with.
pub(crate) struct Trial<'a> {
    pub(crate) subject: &'a dyn Subject,
    /// Configuration of balancers.
    pub(crate) config: &'a str,
    pub(crate) uses: &'a [Use],
    pub(crate) steps: u32,
    pub(crate) taken: &'a [Profile],
    pub(crate) random: fastrand::Rng,
    pub(crate) measured: Vec<(&'static str, f64)>,
}

impl Trial<'_> {
    /// A balancer on worker 0.
    pub(crate) fn balancer(&self) -> Result<Box<dyn Balancer>, String> {
        self.on_worker(0)
    }

    /// A balancer with the randomness of a worker.
    pub(crate) fn on_worker(&self, worker: u32) -> Result<Box<dyn Balancer>, String> {
        one_balancer(self.subject, self.config, worker)
    }

    pub(crate) fn takes(&self, profile: Profile) -> bool {
        self.taken.contains(&profile)
    }

    /// Configuration that a role is tried with; without one there is a reason to skip.
    pub(crate) fn config_of(&self, role: &str) -> Result<String, Stop> {
        let of = self.uses.iter().find(|of| of.role == role);
        let of = of.ok_or_else(|| Stop::Skipped(format!("it is no {role}")))?;
        if let Some(refusal) = &of.refusal {
            return Err(Stop::Skipped(refusal.clone()));
        }
        match self.subject.create(role, &of.config) {
            Err(CreateFailure::Refused(why)) => {
                Err(Stop::Skipped(format!("as {role} it takes no such configuration: {why}")))
            }
            _ => Ok(of.config.clone()),
        }
    }

    /// Notes a number for the report, in place of one of the same name.
    pub(crate) fn measure(&mut self, what: &'static str, value: f64) {
        self.measured.retain(|(known, _)| *known != what);
        self.measured.push((what, value));
    }

    pub(crate) fn keys(&mut self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.random.u64(..)).collect()
    }

    /// Tries a list of things, each with a fresh start; when it breaks the property, looks for a shorter one that does.
    pub(crate) fn try_list<T: Clone + std::fmt::Debug>(
        &self,
        items: Vec<T>,
        check: impl Fn(&Self, &[T]) -> Result<(), String>,
    ) -> Checked {
        match shrink(items, |items| check(self, items).err()) {
            None => Ok(()),
            Some((smallest, how)) => Err(Stop::Broken { how, smallest: Some(format!("{smallest:?}")) }),
        }
    }
}

pub(crate) fn one_balancer(subject: &dyn Subject, config: &str, worker: u32) -> Result<Box<dyn Balancer>, String> {
    only(subject.balancers(config, worker, 1))
}

/// The one policy that was asked for.
pub(crate) fn only<T: ?Sized>(made: Result<Vec<Box<T>>, CreateFailure>) -> Result<Box<T>, String> {
    let made = made.map_err(|failure| format!("creating a policy: {failure}"))?;
    made.into_iter().next().ok_or_else(|| "creating a policy: none was made".to_owned())
}

/// The two policies of one instance that were asked for.
pub(crate) fn pair<T: ?Sized>(made: Result<Vec<Box<T>>, CreateFailure>) -> Result<(Box<T>, Box<T>), String> {
    let mut made = made.map_err(|failure| format!("creating two policies: {failure}"))?.into_iter();
    match (made.next(), made.next()) {
        (Some(one), Some(other)) => Ok((one, other)),
        _ => Err("creating two policies: there are not two".to_owned()),
    }
}
