//! The one group of S4. The first member that logs in makes it, open to everybody; who logged in before there was a number
//! is invited by that one, and whoever comes later joins. The sender joins with its first message.
use super::wire::{bytes, num, uid};
use std::sync::Mutex;

/// All members of this process.
#[derive(Default)]
pub struct Group {
    is_asked_for: bool,
    number: Option<u64>,
    waiting: Vec<u32>,
}

pub static GROUP: Mutex<Group> = Mutex::new(Group { is_asked_for: false, number: None, waiting: Vec::new() });

/// What a member does next.
pub enum Step {
    Create,
    Join(u64),
    Wait,
}

impl Group {
    pub fn on_login(&mut self, user: u32) -> Step {
        if let Some(number) = self.number {
            return Step::Join(number);
        }
        if !std::mem::replace(&mut self.is_asked_for, true) {
            return Step::Create;
        }
        self.waiting.push(user);
        Step::Wait
    }

    /// The group is there; gives those to be invited.
    pub fn on_created(&mut self, number: u64) -> Vec<u32> {
        self.number = Some(number);
        std::mem::take(&mut self.waiting)
    }

    pub fn number(&self) -> Option<u64> {
        self.number
    }
}

/// Its name as a conversation.
pub fn name(number: u64) -> Vec<u8> {
    format!("#{number}").into_bytes()
}

/// GroupCreate: whoever knows it may join.
pub fn create() -> Vec<u8> {
    let (mut settings, mut create, mut act) = (vec![], vec![], vec![]);
    num(&mut settings, 3, 3);
    bytes(&mut create, 1, &settings);
    bytes(&mut act, 10, &create);
    act
}

pub fn join() -> Vec<u8> {
    let mut act = vec![];
    bytes(&mut act, 13, &[]);
    act
}

/// GroupInvite; fewer at once than it takes.
pub fn invite(users: &[u32]) -> Vec<u8> {
    let (mut uids, mut act) = (vec![], vec![]);
    for user in users {
        bytes(&mut uids, 1, uid(*user, &mut [0; 11]));
    }
    bytes(&mut act, 12, &uids);
    act
}
