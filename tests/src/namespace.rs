use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

/// A network of its own, with an address of each family there and here; gone when dropped. What is sent between them can be made to vanish, as
/// if a cable were cut: nobody is told.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    here: Ipv4Addr,
    there: Ipv4Addr,
    here6: Ipv6Addr,
    there6: Ipv6Addr,
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
        let address6 = |last| Ipv6Addr::new(0xfd98, 0, 0, of_process.into(), 0, 0, number.into(), last);
        let namespace = Self {
            name: format!("plimsoll-{process}-{number}"),
            here: address(1),
            there: address(2),
            here6: address6(1),
            there6: address6(2),
            outer: format!("plo{of_process}x{number}"),
            table: 10_000 + 60 * u32::from(of_process) + u32::from(number),
        };
        let Self { name, here, there, here6, there6, outer, .. } = &namespace;
        let inner = format!("pli{of_process}x{number}");
        let steps = [
            format!("netns add {name}"),
            format!("link add {outer} type veth peer name {inner} netns {name}"),
            format!("address add {here}/30 dev {outer}"),
            format!("address add {here6}/112 dev {outer} nodad"),
            format!("link set {outer} up"),
            format!("-n {name} address add {there}/30 dev {inner}"),
            format!("-n {name} address add {there6}/112 dev {inner} nodad"),
            format!("-n {name} link set {inner} up"),
            format!("-n {name} link set lo up"),
        ];
        steps.iter().all(|step| ip(step)).then_some(namespace)
    }

    /// The address there.
    pub fn address(&self) -> IpAddr {
        self.there.into()
    }

    /// The addresses there, of IPv4 and IPv6.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.there.into(), self.there6.into()]
    }

    /// The addresses here, of IPv4 and IPv6.
    pub fn gateways(&self) -> [IpAddr; 2] {
        [self.here.into(), self.here6.into()]
    }

    /// All that is sent there to whomever comes here, and is taken as if it was for us: what a transparent proxy needs.
    ///
    /// # Panics
    /// When the system does not do it.
    pub fn give_us_all(&self) {
        let Self { name, outer, table, .. } = self;
        for (family, here, all) in [("-4", IpAddr::from(self.here), "0.0.0.0/0"), ("-6", self.here6.into(), "::/0")] {
            assert!(ip(&format!("{family} -n {name} route add default via {here}")), "a route");
            assert!(ip(&format!("{family} rule add iif {outer} lookup {table}")), "a rule");
            assert!(ip(&format!("{family} route add local {all} dev lo table {table}")), "a table");
        }
    }

    /// The words before a command that run it there.
    pub fn entering(&self) -> [&str; 3] {
        ["netns", "exec", &self.name]
    }

    /// A command that runs there.
    pub fn within(&self, command: &Command) -> Command {
        let mut entering = Command::new("ip");
        entering.args(self.entering()).arg(command.get_program()).args(command.get_args());
        entering
    }

    /// So many of a hundred datagrams get lost from now on, in both directions. False where that cannot be: it takes nftables.
    ///
    /// # Panics
    /// When the system loses what goes one way alone.
    pub fn lose(&self, percent: u64) -> bool {
        let Self { name, outer, .. } = self;
        let rules = |chain: &str, of: &str| {
            let table = format!("inet {name}");
            let loss = format!("{of} meta l4proto udp numgen random mod 100 < {percent} counter drop");
            format!("add table {table}; flush table {table}; {chain}; add rule {table} lost {loss}")
        };
        // Who sends would be told, and what has arrived is nobody's business.
        let chain = format!("add chain inet {name} lost {{ type filter hook prerouting priority raw; }}");
        if !succeeds(Command::new("nft").arg(rules(&chain, &format!("iifname {outer}")))) {
            return false;
        }
        let mut there = Command::new("nft");
        there.arg(rules(&chain, ""));
        assert!(succeeds(&mut self.within(&there)), "the same there");
        true
    }

    /// How many packets got lost since [`Self::lose`], each of several datagrams where whoever sent them had the kernel cut them.
    ///
    /// # Panics
    /// When nothing is to get lost.
    pub fn lost(&self) -> u64 {
        let mut list = Command::new("nft");
        list.args(["list", "table", "inet", &self.name]);
        let count = |mut command: Command| {
            let said = command.output().expect("nft runs");
            let text = String::from_utf8_lossy(&said.stdout).into_owned();
            let count = text.split_once("counter packets ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
            count.unwrap_or_else(|| panic!("no counter in {text:?}"))
        };
        let there: u64 = count(self.within(&list));
        there + count(list)
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
        let Self { name, outer, table, .. } = self;
        succeeds(Command::new("nft").args(["delete", "table", "inet", name]));
        for family in ["-4", "-6"] {
            while ip(&format!("{family} rule del iif {outer} lookup {table}")) {}
            ip(&format!("{family} route flush table {table}"));
        }
    }
}

fn ip(arguments: &str) -> bool {
    succeeds(Command::new("ip").args(arguments.split(' ')))
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
