/// Which proxy this is, as plugins see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What the operator calls it.
    pub id: String,
    /// Where it runs; empty when nobody says.
    pub zone: String,
    pub workers: u32,
}

impl Default for Node {
    fn default() -> Self {
        Self { id: "plimsoll".to_owned(), zone: String::new(), workers: 1 }
    }
}

impl Node {
    /// As it is configured. One that is not named has the name of the machine, where the system tells it.
    pub fn of(id: Option<String>, zone: Option<String>, workers: usize) -> Self {
        let of_machine = Self::of_machine(workers);
        Self { id: id.unwrap_or(of_machine.id), zone: zone.unwrap_or_default(), ..of_machine }
    }

    fn of_machine(workers: usize) -> Self {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX);
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        match name.trim() {
            "" => Self { workers, ..Self::default() },
            name => Self { id: name.to_owned(), workers, ..Self::default() },
        }
    }
}
