//! What rogues try. How they do it, and what must become of it, is in [`play`](super::play).

use std::time::Duration;

use crate::sim::world::World;

/// What a rogue does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// Sends and acks before any login.
    BeforeLogin,
    /// Says nothing, or a byte now and then, and never logs in.
    SlowLoris,
    /// Comes back with a resume token that has been used.
    Replay,
    /// Comes back twice, and then with the token of the first time.
    Predecessor,
    /// Sends above its credit.
    Credit,
    /// Jumps over numbers.
    Gap,
    /// Acks what was never pushed.
    Ack,
    /// Sends another message under a number that was answered.
    Twice,
    /// Asks for conversations of others.
    History,
    /// Asks for a group, and writes in it.
    Group,
    /// Logs in a second time on one connection.
    Again,
    /// Logs in, and is not heard of again.
    Silent,
    /// Logs in anew while its older connection sends.
    LateSends,
    /// Logs in anew while its older connection acks.
    LateAcks,
    /// Comes back from a place that the log has not reached.
    Beyond,
    /// Acks a message of its own while what it has not acked before is pushed to it again.
    Overtake,
}

impl Trick {
    pub const ALL: &[Trick] = &[
        Trick::BeforeLogin,
        Trick::SlowLoris,
        Trick::Replay,
        Trick::Predecessor,
        Trick::Credit,
        Trick::Gap,
        Trick::Ack,
        Trick::Twice,
        Trick::History,
        Trick::Group,
        Trick::Again,
        Trick::Silent,
        Trick::LateSends,
        Trick::LateAcks,
        Trick::Beyond,
        Trick::Overtake,
    ];

    /// How long a rogue waits for something to happen.
    pub fn patience(self, world: &World) -> Duration {
        match self {
            Trick::Silent => world.host.heartbeat() * 2,
            _ => Duration::from_secs(20),
        }
    }
}
