//! What became of a message: whom it was for, whose devices have it, who has read it.

use std::collections::BTreeMap;

use hongyan_proto::wire::NackCode;

use super::{
    Answer, ConversationNo, ConversationRecord, DeviceNo, EntryRef, Log, MembershipRecord, Of, UserNo, is_member,
    missing,
};
use crate::store::StoreError;

/// Runs of a timeline read in one step.
const RUNS: usize = 64;
/// References looked at for one message, over all recipients. Older than that, and only what the receipts say is known.
const BUDGET: usize = 100_000;
/// Members looked at in one step.
const MEMBERS: usize = 256;

/// What is kept of a SEND.
pub enum Sent {
    /// Its number is unknown, too old, or not used yet.
    Unknown,
    /// Refused for good.
    Refused(NackCode),
    /// An act, which is nobody's to receive under this number.
    Done { time_ms: u64 },
    /// What stands in a conversation.
    Message(ConversationNo, u64),
}

/// What a message has come to with one of those it was for.
pub struct Recipient {
    pub user: UserNo,
    pub uid: String,
    /// The user tells nobody what was delivered and read.
    pub is_silent: bool,
    pub is_delivered: bool,
    pub is_read: bool,
    /// When it became known; 0: it is not known when.
    pub delivered_ms: u64,
    pub read_ms: u64,
    pub devices: Vec<RecipientDevice>,
}

pub struct RecipientDevice {
    pub no: DeviceNo,
    pub name: String,
    pub cursor: u64,
    /// The device has stored the message.
    pub has_it: bool,
}

/// Where an entry is in a timeline.
enum Place {
    At(u64),
    /// Not above this one.
    AtOrBelow(u64),
    Nowhere,
}

impl Log {
    /// What a device of `user` sent under a number.
    pub async fn sent(&self, user: UserNo, device: DeviceNo, send_no: u64) -> Result<Sent, StoreError> {
        let record = self.device(user, device).await?.unwrap_or_default();
        let Some(Answer { cseq, useq, time_ms, nack, .. }) = record.answer(send_no).copied() else {
            return Ok(Sent::Unknown);
        };
        if nack != 0 {
            return Ok(Sent::Refused(NackCode::try_from(nack as i32).unwrap_or_default()));
        }
        if useq == 0 {
            return Ok(Sent::Done { time_ms });
        }
        let refs = self.refs(user, useq - 1, useq, 1).await?;
        Ok(match refs.first() {
            Some((found, reference)) if *found == useq => Sent::Message(ConversationNo(reference.conversation), cseq),
            _ => Sent::Unknown,
        })
    }

    /// What became of message `cseq` of a conversation, written by `author`. Nobody is named in a large group, where
    /// nobody is told.
    pub async fn fate(
        &self,
        no: ConversationNo,
        record: &ConversationRecord,
        author: UserNo,
        cseq: u64,
    ) -> Result<Vec<Recipient>, StoreError> {
        let mut budget = BUDGET;
        let receipts = self.receipts_of(author, no, cseq, &mut budget).await?;
        let mut recipients = Vec::new();
        for (user, membership) in self.recipients(no, record, author, cseq).await? {
            // Of two there is only one who can have sent a receipt.
            let by = if record.group.is_some() { user } else { UserNo(0) };
            let told = receipts.get(&by).copied().unwrap_or_default();
            recipients.push(self.recipient(user, (no, cseq), &membership, told, &mut budget).await?);
        }
        Ok(recipients)
    }

    /// Whom a message was for, of those who are still there, by user number.
    async fn recipients(
        &self,
        no: ConversationNo,
        record: &ConversationRecord,
        author: UserNo,
        cseq: u64,
    ) -> Result<Vec<(UserNo, MembershipRecord)>, StoreError> {
        let mut users = Vec::new();
        match (record.peer_of(author), &record.group) {
            (Some(peer), _) => users.push(peer),
            (None, Some(group)) if !group.large => {
                let mut after = 0;
                loop {
                    let members = self.members(no, after, MEMBERS).await?;
                    let Some((last, _)) = members.last() else { break };
                    after = last.0;
                    users.extend(members.iter().filter(|(_, member)| is_member(member.role())).map(|(user, _)| *user));
                }
            }
            _ => {}
        }
        let mut recipients = Vec::with_capacity(users.len());
        for user in users.into_iter().filter(|user| *user != author) {
            let membership = self.membership(user, no).await?.unwrap_or_default();
            if membership.joined_cseq <= cseq {
                recipients.push((user, membership));
            }
        }
        Ok(recipients)
    }

    async fn recipient(
        &self,
        user: UserNo,
        (no, cseq): (ConversationNo, u64),
        membership: &MembershipRecord,
        told: Told,
        budget: &mut usize,
    ) -> Result<Recipient, StoreError> {
        let account = self.account(user).await?.ok_or_else(|| missing(format!("user {}", user.0)))?;
        let records = self.devices(user).await?;
        // What is below every cursor need not be found.
        let floor = records.iter().map(|(_, device)| device.cursor).min().unwrap_or(u64::MAX);
        let place = self.place_of(user, (no, cseq), floor, budget).await?;
        let devices = records.into_iter().map(|(no, device)| {
            let has_it = match place {
                Place::At(useq) | Place::AtOrBelow(useq) => device.cursor >= useq,
                Place::Nowhere => false,
            };
            RecipientDevice { no, name: device.name, cursor: device.cursor, has_it }
        });
        let devices: Vec<_> = devices.collect();
        let is_read = membership.read_cseq >= cseq;
        // A mark that goes further was set later than this message was reached.
        let exact = |time_ms, mark| if mark == cseq { time_ms } else { 0 };
        let or = |told: u64, known: u64| if told == 0 { known } else { told };
        Ok(Recipient {
            user,
            uid: account.uid,
            is_silent: account.no_receipts,
            is_delivered: is_read || membership.delivered_cseq >= cseq || devices.iter().any(|device| device.has_it),
            is_read,
            delivered_ms: or(told.delivered_ms, exact(membership.delivered_ms, membership.delivered_cseq)),
            read_ms: or(told.read_ms, exact(membership.read_ms, membership.read_cseq)),
            devices,
        })
    }

    /// Looks for an entry from the newest down to `floor`.
    async fn place_of(
        &self,
        user: UserNo,
        (no, cseq): (ConversationNo, u64),
        floor: u64,
        budget: &mut usize,
    ) -> Result<Place, StoreError> {
        let mut below = u64::MAX;
        loop {
            let refs = self.newest_refs(user, below, RUNS).await?;
            if refs.is_empty() {
                // Older entries have been trimmed away, which every device had.
                return Ok(Place::AtOrBelow(below.min(floor)));
            }
            for (useq, reference) in refs {
                if useq <= floor || *budget == 0 {
                    return Ok(Place::AtOrBelow(useq));
                }
                *budget -= 1;
                below = useq;
                if is_of(&reference, no) && reference.cseq <= cseq {
                    return Ok(if reference.cseq == cseq { Place::At(useq) } else { Place::Nowhere });
                }
            }
        }
    }

    /// When the receipts in the author's timeline say that the message was first delivered and read, by whose they are.
    async fn receipts_of(
        &self,
        author: UserNo,
        no: ConversationNo,
        cseq: u64,
        budget: &mut usize,
    ) -> Result<BTreeMap<UserNo, Told>, StoreError> {
        let mut receipts: BTreeMap<UserNo, Told> = BTreeMap::new();
        let mut below = u64::MAX;
        loop {
            let refs = self.newest_refs(author, below, RUNS).await?;
            let Some((oldest, _)) = refs.last() else { return Ok(receipts) };
            below = *oldest;
            for (_, reference) in refs {
                *budget = budget.saturating_sub(1);
                if *budget == 0 || is_of(&reference, no) && reference.cseq <= cseq {
                    return Ok(receipts);
                }
                if reference.of() == Of::Receipt && reference.conversation == no.0 {
                    // Older ones come later here, and count.
                    let told = receipts.entry(UserNo(reference.by_user)).or_default();
                    if reference.delivered_cseq >= cseq {
                        told.delivered_ms = reference.time_ms;
                    }
                    if reference.read_cseq >= cseq {
                        told.read_ms = reference.time_ms;
                    }
                }
            }
        }
    }
}

/// The times in somebody's receipts; 0: none.
#[derive(Clone, Copy, Default)]
struct Told {
    delivered_ms: u64,
    read_ms: u64,
}

/// A message or act of this conversation.
fn is_of(reference: &EntryRef, no: ConversationNo) -> bool {
    reference.conversation == no.0 && matches!(reference.of(), Of::Message | Of::Edit)
}
