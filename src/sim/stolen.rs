//! Resume tokens that were copied while devices used them: one must be worth nothing once its successor was used.

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::chance::Chance;

/// Resume tokens that must not work any more.
#[derive(Default)]
pub struct StolenTokens {
    /// What each device came back with last, by its number.
    accepted: FxHashMap<usize, Bytes>,
    dead: Vec<Bytes>,
}

impl StolenTokens {
    /// A device has come back with `token`: the one it came back with before is used up.
    pub fn on_resumed(&mut self, device: usize, token: &Bytes) {
        let older = self.accepted.insert(device, token.clone());
        self.dead.extend(older.filter(|older| older != token));
    }

    /// One that is used up, if there is any.
    pub fn any_dead(&self, chance: &mut Chance) -> Option<Bytes> {
        (!self.dead.is_empty()).then(|| self.dead[chance.below(self.dead.len())].clone())
    }
}
