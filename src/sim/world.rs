//! What everybody in a run shares: the time, the tasks, the server's machine, the book.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use super::{chance::Chance, clock::Clock, executor::Spawner, host::Host, ledger::Ledger, stolen::StolenTokens};

pub struct World {
    pub clock: Arc<Clock>,
    pub spawner: Spawner,
    pub chance: RefCell<Chance>,
    pub host: Host,
    pub ledger: RefCell<Ledger>,
    /// The users' tokens, by their numbers.
    pub tokens: Vec<String>,
    pub rogue_token: String,
    pub stolen_tokens: RefCell<StolenTokens>,
    /// Nothing bad has happened to the server so far.
    pub is_calm: Cell<bool>,
}
