use super::ground::Ground;
use super::known::is_known_to;
use super::site::{Client, Site, texts};
use crate::memory::PAGE;
use crate::trial::{Checked, Property, Stop, Trial};
use crate::{Endpoint, Profile};

const ALL: &[Profile] = &[Profile::Affinity];

/// How long clients are known, where else, and how many of them.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::thorough(
        "A6",
        &[Profile::Dated],
        "a binding ends at one moment, the same for all clients, which is the configured one, and is not back later",
        ends_at_its_time,
    ),
    Property::quick(
        "A7",
        ALL,
        "another worker of the proxy, or another version of the plugin, knows its clients",
        is_known_elsewhere,
    ),
    Property::thorough(
        "A7b",
        &[Profile::Token],
        "another proxy of the same secret knows its clients",
        is_known_to_another_proxy,
    ),
    Property::thorough("A10", ALL, "memory does not grow with the number of clients", memory_stays),
    Property::thorough(
        "A10b",
        &[Profile::Table],
        "however many clients there were, the last of them are known",
        knows_the_last,
    ),
];

/// Longest pause that is tried.
const MOST_MS: u64 = 1 << 32;

/// When a client that pauses is not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    AfterMs(u64),
    Never,
}

pub(super) fn ending(ground: &Ground<'_>) -> Result<Ending, String> {
    let mut calendar = Calendar::new(ground)?;
    let mut ends_ms = 1000;
    while calendar.is_bound_after(0, ends_ms, ends_ms)? {
        ends_ms *= 2;
        if ends_ms > MOST_MS {
            return Ok(Ending::Never);
        }
    }
    let ends_ms = bisect(0, ends_ms, |ms| calendar.is_bound_after(0, ms, ms))?;
    Ok(Ending::AfterMs(ends_ms))
}

/// The least that does not hold, between what holds and what does not.
fn bisect(mut holds: u64, mut fails: u64, mut check: impl FnMut(u64) -> Result<bool, String>) -> Result<u64, String> {
    while holds + 1 < fails {
        let middle = holds + (fails - holds) / 2;
        if check(middle)? { holds = middle } else { fails = middle }
    }
    Ok(fails)
}

/// A site through the days, with ever new clients.
struct Calendar {
    site: Site,
    now_ms: u64,
    clients: u32,
}

impl Calendar {
    fn new(ground: &Ground<'_>) -> Result<Self, String> {
        Ok(Self { site: ground.site(Endpoint::several(5))?, now_ms: 0, clients: 0 })
    }

    /// Whether a new client of a slot is bound after so long, when it comes by at even distances meanwhile. It begins with
    /// a whole second: some count in these.
    fn is_bound_after(&mut self, slot: u32, ms: u64, every_ms: u64) -> Result<bool, String> {
        let mut client = self.client(slot)?;
        let began_ms = self.now_ms;
        let mut at_ms = every_ms;
        while at_ms < ms {
            self.set(began_ms + at_ms);
            if self.site.visit(&mut client, 4)?.found != Some(slot) {
                return Ok(false);
            }
            at_ms += every_ms;
        }
        self.set(began_ms + ms);
        Ok(self.site.find(&client)?.slot() == Some(slot))
    }

    fn client(&mut self, slot: u32) -> Result<Client, String> {
        self.set((self.now_ms / 1000 + 1) * 1000);
        self.clients += 1;
        let mut client = Client::new(self.clients);
        self.site.visit(&mut client, slot)?;
        Ok(client)
    }

    fn set(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.site.affinity.set_now_ms(now_ms);
    }
}

fn ends_at_its_time(trial: &mut Trial<'_>) -> Checked {
    // Clients that keep coming are followed for so many times the pause that ends a binding.
    const LIVES: u64 = 32;
    let ground = Ground::with_clients(trial)?;
    let Ending::AfterMs(pause_ms) = ending(&ground)? else {
        return Err(Stop::Skipped("no binding ended within 49 days".into()));
    };
    trial.measure("pause in seconds", pause_ms as f64 / 1000.0);
    let mut calendar = Calendar::new(&ground)?;
    for slot in 0..4 {
        for (ms, is_bound) in [(pause_ms - 1, true), (pause_ms, false), (2 * pause_ms, false), (9 * pause_ms, false)] {
            if calendar.is_bound_after(slot, ms, ms)? != is_bound {
                let how = if is_bound { "is not bound" } else { "is still bound" };
                return Err(format!("a client of slot {slot} {how} after {ms} ms, others are for {pause_ms} ms").into());
            }
        }
    }
    is_configured(ground.config, pause_ms)?;
    let step_ms = pause_ms / 2;
    if step_ms == 0 || calendar.is_bound_after(0, LIVES * pause_ms, step_ms)? {
        return Ok(());
    }
    let life_ms = bisect(step_ms, LIVES * pause_ms, |ms| calendar.is_bound_after(0, ms, step_ms))?;
    trial.measure("life in seconds", life_ms as f64 / 1000.0);
    Ok(is_configured(ground.config, life_ms)?)
}

/// A configuration that names times must name this one. Who counts in seconds may be late by one.
fn is_configured(config: &str, ms: u64) -> Result<(), String> {
    let mut times = Vec::new();
    texts(&serde_json::from_str(config).unwrap_or_default(), &mut |text| times.extend(milliseconds(text)));
    if times.is_empty() || times.iter().any(|time| (*time..=time.saturating_add(1000)).contains(&ms)) {
        return Ok(());
    }
    Err(format!("bindings end after {ms} ms, the configuration names {times:?} ms"))
}

/// A time such as `10m`.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

fn is_known_elsewhere(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::with_clients(trial)?;
    let mut here = ground.site(Endpoint::several(9))?;
    let slots = [2, 5, 7];
    let clients = ground.bound(&mut here, &slots)?;
    let mut there = here.another()?;
    for (client, slot) in clients.iter().zip(slots) {
        let found = there.find(client)?.slot();
        if found != Some(slot) {
            return Err(format!("bound to slot {slot} on one worker, to {found:?} on another").into());
        }
    }
    let mut client = Client::new(8);
    there.visit(&mut client, 4)?;
    let found = here.find(&client)?.slot();
    if found != Some(4) {
        return Err(format!("bound to slot 4 on the second worker, to {found:?} on the first").into());
    }
    // Whatever state the former version hands over, clients are no worse off with it.
    let state = here.affinity.save()?;
    there.affinity.restore(&state)?;
    for (client, slot) in clients.iter().zip(slots) {
        let found = there.find(client)?.slot();
        if found != Some(slot) {
            return Err(format!("bound to slot {slot}, and to {found:?} once the saved state was restored").into());
        }
    }
    Ok(())
}

fn is_known_to_another_proxy(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::with_clients(trial)?;
    if !is_known_to(&ground, 0)? {
        return Err("another proxy of the same secret does not know a client".to_owned().into());
    }
    let mut here = ground.site(Endpoint::several(11))?;
    let slots: Vec<u32> = (0..11).collect();
    let clients = ground.bound(&mut here, &slots)?;
    // It came to the same endpoints in another order, so that they have other slots.
    let mut there = ground.site_of(0, (0..11).map(|slot| Endpoint::named(slot, 10 - slot)).collect())?;
    for (client, slot) in clients.iter().zip(slots) {
        let found = there.find(client)?.slot();
        if found != Some(10 - slot) {
            let slot = 10 - slot;
            return Err(format!("the endpoint is in slot {slot} there, and the client bound to {found:?}").into());
        }
    }
    Ok(())
}

fn memory_stays(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::anyway(trial)?;
    let mut site = ground.site(Endpoint::several(8))?;
    let mut number = 0;
    let mut more_clients = |site: &mut Site, count: u32| -> Result<Option<u64>, String> {
        for _ in 0..count {
            number += 1;
            let mut client = Client::new(number);
            site.visit(&mut client, number % 8)?;
            site.find(&client)?;
        }
        Ok(site.affinity.memory_bytes())
    };
    // It may take a while to find a size that it stays at; who leaks grows in every stage.
    let first = (trial.steps / 4).max(1000);
    let mut sizes = Vec::new();
    let mut clients = 0;
    for stage in [1, 1, 2, 4, 8] {
        let Some(bytes) = more_clients(&mut site, stage * first)? else {
            return Err(Stop::Skipped("the size of its memory is not known".into()));
        };
        clients += stage * first;
        let is_flat = sizes.last().is_some_and(|before| bytes <= before + PAGE);
        sizes.push(bytes);
        if is_flat {
            trial.measure("clients", clients.into());
            trial.measure("bytes", bytes as f64);
            return Ok(());
        }
    }
    Err(format!("it grew at each look, with {clients} clients: {sizes:?} bytes").into())
}

fn knows_the_last(trial: &mut Trial<'_>) -> Checked {
    const LAST: usize = 100;
    let ground = Ground::with_clients(trial)?;
    let count = (trial.steps * 4).max(2 * LAST as u32);
    let mut site = ground.site(Endpoint::several(6))?;
    let mut last = std::collections::VecDeque::new();
    for number in 0..count {
        let mut client = Client::new(number);
        let slot = number % 6;
        site.visit(&mut client, slot)?;
        last.push_back((client, slot));
        if last.len() > LAST {
            last.pop_front();
        }
    }
    trial.measure("clients", count.into());
    for (client, slot) in &last {
        let found = site.find(client)?.slot();
        if found != Some(*slot) {
            let number = client.number;
            return Err(
                format!("client {number} of {count} was bound to slot {slot} just now, and is to {found:?}").into()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_configurations_write_them() {
        assert_eq!(milliseconds("10m"), Some(600_000));
        assert_eq!(milliseconds("250ms"), Some(250));
        for text in ["", "10", "m", "JSESSIONID", "99999999999999999d"] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
        let config = r#"{"max_idle":"64s","name":"a"}"#;
        assert!(is_configured(config, 65_000).is_ok() && is_configured(config, 66_001).is_err());
        assert!(is_configured("{}", 7).is_ok());
    }

    #[test]
    fn the_edge_is_found_exactly() {
        assert_eq!(bisect(0, 1024, |at| Ok(at < 700)), Ok(700));
    }
}
