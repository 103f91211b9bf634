use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

/// A network of its own, with one address there and one here; gone when dropped. What is sent between them can be made to vanish, as
/// if a cable were cut: nobody is told.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    here: Ipv4Addr,
    there: Ipv4Addr,
    /// The interface here.
    outer: String,
    /// A table of routes of our own.
    table: u32,
}

static NUMBER: AtomicU8 = AtomicU8::new(0);

impl Namespace {
    /// None where there may be none: that takes root and iproute2.
    pub fn new() -> Option<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed) % 60;
        let process = std::process::id();
        let of_process = (process % 250) as u8;
        let address = |last| Ipv4Addr::new(198, 18, of_process, 4 * number + last);
        let namespace = Self {
            name: format!("plimsoll-{process}-{number}"),
            here: address(1),
            there: address(2),
            outer: format!("plo{of_process}x{number}"),
            table: 10_000 + 60 * u32::from(of_process) + u32::from(number),
        };
        let Self { name, here, there, outer, .. } = &namespace;
        let inner = format!("pli{of_process}x{number}");
        let steps = [
            format!("netns add {name}"),
            format!("link add {outer} type veth peer name {inner} netns {name}"),
            format!("address add {here}/30 dev {outer}"),
            format!("link set {outer} up"),
            format!("-n {name} address add {there}/30 dev {inner}"),
            format!("-n {name} link set {inner} up"),
            format!("-n {name} link set lo up"),
        ];
        steps.iter().all(|step| ip(step)).then_some(namespace)
    }

    /// The address there.
    pub fn address(&self) -> IpAddr {
        self.there.into()
    }

    /// The address here.
    pub fn gateway(&self) -> IpAddr {
        self.here.into()
    }

    /// All that is sent there to whomever comes here, and is taken as if it was for us: what a transparent proxy needs.
    ///
    /// # Panics
    /// When the system does not do it.
    pub fn give_us_all(&self) {
        let Self { name, here, outer, table, .. } = self;
        assert!(ip(&format!("-n {name} route add default via {here}")), "a route");
        assert!(ip(&format!("rule add iif {outer} lookup {table}")), "a rule");
        assert!(ip(&format!("route add local 0.0.0.0/0 dev lo table {table}")), "a table");
    }

    /// The words before a command that run it there.
    pub fn entering(&self) -> [&str; 3] {
        ["netns", "exec", &self.name]
    }

    /// Nothing comes from there any more.
    ///
    /// # Panics
    /// When the system does not do it.
    pub fn vanish(&self) {
        assert!(ip(&format!("-n {} route add blackhole {}/32", self.name, self.here)), "there is a route");
    }

    /// All comes again.
    ///
    /// # Panics
    /// When the system does not do it.
    pub fn reappear(&self) {
        assert!(ip(&format!("-n {} route del blackhole {}/32", self.name, self.here)), "there was a route");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its end of the pair, and with it the one here, go with it.
        ip(&format!("netns delete {}", self.name));
        let Self { outer, table, .. } = self;
        while ip(&format!("rule del iif {outer} lookup {table}")) {}
        ip(&format!("route flush table {table}"));
    }
}

fn ip(arguments: &str) -> bool {
    let status = Command::new("ip").args(arguments.split(' ')).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
