/// How a balancer chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Smooth weighted round robin.
    Turns,
    /// Rendezvous hashing by ids.
    Hash,
    /// The same by slots.
    Numbered,
    /// The same by ids, with a bound on the loads.
    Bounded,
    /// The less loaded of two.
    Least,
    /// The faster of two, by times that fade.
    Latency,
    /// Where the key went before.
    Sticky,
    /// The first that has room.
    Packing,
    /// The least loaded of all.
    LeastOfAll,
    /// Rendezvous hashing by who asks.
    Tenants,
    /// By chance.
    Dice,
    /// Each once in a random order, then in another.
    Deck,
    /// Seven for one, then seven for the next.
    Streaks,
}
