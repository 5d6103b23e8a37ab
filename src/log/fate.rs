//! What became of a message: whom it was for, whose devices have it, who has read it.

use std::collections::BTreeMap;

use hongyan_proto::wire::NackCode;

use super::{
    answers::Answer,
    conversations::is_member,
    record::{ConversationRecord, EntryRef, MembershipRecord, entry_ref::Of},
    rows::{Log, missing},
};
use crate::{
    base::number::{ConversationNo, DeviceNo, UserNo},
    store::StoreError,
};

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
        let Some(Answer { cseq, useq, time_ms, nack, .. }) = record.answer(send_no) else {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prost::Message;

    use super::*;
    use crate::{
        log::{
            keys,
            record::{AccountRecord, DeviceRecord, RunRecord},
        },
        store::{Batch, Durability, Engine, Table, memory::MemoryEngine},
    };

    const NO: ConversationNo = ConversationNo(5);

    fn message(cseq: u64) -> EntryRef {
        EntryRef { conversation: NO.0, cseq, ..Default::default() }
    }

    fn receipt(delivered_cseq: u64, read_cseq: u64, time_ms: u64) -> EntryRef {
        let of = Of::Receipt.into();
        EntryRef { conversation: NO.0, delivered_cseq, read_cseq, time_ms, of, ..Default::default() }
    }

    fn elsewhere(cseq: u64) -> EntryRef {
        EntryRef { conversation: 9, cseq, ..Default::default() }
    }

    /// Users 1 and 2 in a conversation: their timelines in runs, and the cursors of the devices of 2.
    async fn log(of_author: &[(u64, Vec<EntryRef>)], of_other: &[(u64, Vec<EntryRef>)], cursors: &[u64]) -> Log {
        let engine = Arc::new(MemoryEngine::new());
        let mut batch = Batch::default();
        for (user, runs) in [(UserNo(1), of_author), (UserNo(2), of_other)] {
            let account = AccountRecord { uid: user.0.to_string(), ..Default::default() };
            batch.put(Table::Users, keys::user(user), account.encode_to_vec());
            for (first, refs) in runs {
                let run = RunRecord { refs: refs.clone() };
                batch.put(Table::Timelines, keys::run(user, *first), run.encode_to_vec());
            }
        }
        for (no, cursor) in (1..).zip(cursors) {
            let device = DeviceRecord { name: no.to_string(), cursor: *cursor, ..Default::default() };
            batch.put(Table::Devices, keys::device(UserNo(2), DeviceNo(no)), device.encode_to_vec());
        }
        engine.commit(batch, Durability::Synced).await.unwrap();
        Log::new(engine)
    }

    async fn fate(log: &Log, cseq: u64) -> Recipient {
        let record = ConversationRecord { first_user: 1, second_user: 2, ..Default::default() };
        log.fate(NO, &record, UserNo(1), cseq).await.unwrap().remove(0)
    }

    #[tokio::test]
    async fn devices_are_told_apart_by_where_the_entry_is() {
        let refs =
            [(11, vec![message(1), elsewhere(1), message(2)]), (14, vec![elsewhere(2), message(3), elsewhere(3)])];
        let log = log(&[], &refs, &[16, 13, 12, 10]).await;
        for (cseq, expected) in
            [(1, [true, true, true, false]), (2, [true, true, false, false]), (3, [true, false, false, false])]
        {
            let recipient = fate(&log, cseq).await;
            let found: Vec<_> = recipient.devices.iter().map(|device| device.has_it).collect();
            assert_eq!((found.as_slice(), recipient.is_delivered), (&expected[..], true), "{cseq}");
        }
        assert!(!fate(&log, 4).await.is_delivered, "it never came to this user");
    }

    #[tokio::test]
    async fn what_was_trimmed_had_reached_everybody() {
        let log = log(&[], &[(100, vec![message(50)])], &[100, 99]).await;
        assert!(fate(&log, 3).await.devices.iter().all(|device| device.has_it));
    }

    #[tokio::test]
    async fn the_first_receipt_that_covers_a_message_dates_it() {
        let runs =
            [(1, vec![message(1), message(2), receipt(1, 0, 10)]), (4, vec![receipt(2, 1, 20), receipt(2, 2, 30)])];
        let log = log(&runs, &[], &[]).await;
        let one = fate(&log, 1).await;
        assert_eq!((one.delivered_ms, one.read_ms), (10, 20));
        let two = fate(&log, 2).await;
        assert_eq!((two.delivered_ms, two.read_ms), (20, 30));
    }

    #[tokio::test]
    async fn answers_are_found_by_their_send_no() {
        let log = log(&[(1, vec![elsewhere(1), message(8)])], &[], &[]).await;
        let taken = Answer { cseq: 8, useq: 2, ..Default::default() };
        let refused = Answer { nack: NackCode::NackForbidden as u32, ..Default::default() };
        let done = Answer { time_ms: 3, ..Default::default() };
        let gone = Answer { cseq: 9, useq: 7, ..Default::default() };
        let record = DeviceRecord { last_send_no: 13, ..Default::default() };
        let record = record.with_answers([taken, refused, done, gone].iter());
        let mut batch = Batch::default();
        batch.put(Table::Devices, keys::device(UserNo(1), DeviceNo(1)), record.encode_to_vec());
        log.engine().commit(batch, Durability::Synced).await.unwrap();
        let mut found = Vec::new();
        for send_no in 9..=14 {
            found.push(match log.sent(UserNo(1), DeviceNo(1), send_no).await.unwrap() {
                Sent::Unknown => "unknown".into(),
                Sent::Refused(code) => code.as_str_name().into(),
                Sent::Done { time_ms } => time_ms.to_string(),
                Sent::Message(no, cseq) => format!("{} in {}", cseq, no.0),
            });
        }
        assert_eq!(found, ["unknown", "8 in 5", "NACK_FORBIDDEN", "3", "unknown", "unknown"]);
    }
}
