//! Any rows in the tables: each is read, or called damaged. And any bytes that claim to be an archive.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use hongyan::{
    base::number::{ConversationNo, DeviceNo, UserNo},
    log::{
        AccountRecord, ContactRecord, ConversationRecord, DeviceRecord, EntryRef, Log, MemberRecord, ReactionsRecord,
        RunRecord, keys, message_rows, verify::verify,
    },
    store::{Batch, Durability, Engine, Table, archive, memory::MemoryEngine},
};
use hongyan_proto::codec::message_item;

use crate::grammar::number;

pub fn run(data: &[u8]) {
    let Some((&how, input)) = data.split_first() else { return };
    if how & 7 == 0 {
        drop(archive::verify(input));
        return;
    }
    let mut u = Unstructured::new(input);
    let mut batch = Batch::default();
    while !u.is_empty() && row(&mut batch, &mut u).is_ok() {}
    let engine = Arc::new(MemoryEngine::new());
    ready(engine.commit(batch, Durability::Buffered)).unwrap();
    let report = verify(&*engine).unwrap();
    assert!(report.problems.len() as u64 <= report.found);
    read_all(&Log::new(engine));
}

/// The result of a future that waits for nothing.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the memory engine never waits"),
    }
}

/// Adds a row: of the right form with any numbers, or of no form at all.
fn row(batch: &mut Batch, u: &mut Unstructured<'_>) -> Result<()> {
    let table = *u.choose(&Table::ALL)?;
    if u.int_in_range(0..=5)? == 0 {
        let (key, value) = (bytes(u)?, bytes(u)?);
        batch.put(table, [&[u.arbitrary()?], &key[..]].concat(), value);
        return Ok(());
    }
    let (user, other) = (UserNo(number(u)? as u32), UserNo(number(u)? as u32));
    let (conversation, seq) = (ConversationNo(number(u)?), number(u)?);
    let (key, value) = match table {
        Table::Meta => (Bytes::from_static(b"last_user"), keys::number(seq)),
        Table::Users => (keys::user(user), encode(&AccountRecord { uid: uid(user), ..Default::default() })),
        Table::UserNames => (uid(user).into(), keys::user(other)),
        Table::Devices => {
            let record = DeviceRecord { cursor: seq, resume_slots: bytes(u)?, ..Default::default() };
            (keys::device(user, DeviceNo(other.0)), encode(&record))
        }
        Table::Conversations => {
            let record = ConversationRecord { first_user: user.0, second_user: other.0, ..Default::default() };
            (keys::conversation(conversation), encode(&record))
        }
        Table::Memberships => (keys::membership(user, conversation), Bytes::new()),
        Table::Pairs => (keys::pair(user, other), keys::number(conversation.0)),
        Table::Timelines => {
            let refs = vec![
                EntryRef { conversation: conversation.0, cseq: number(u)?, ..Default::default() };
                u.int_in_range(0..=3)?
            ];
            (keys::run(user, seq), encode(&RunRecord { refs }))
        }
        Table::Messages => {
            let item = |index| message_item("a", "b", seq.saturating_add(index), 0, b"");
            let items: Vec<_> = (0..u.int_in_range(1..=4)?).map(item).collect();
            let run = message_rows(seq, &items).next().expect("one item at least");
            (keys::message(conversation, seq), run.1)
        }
        Table::Members => (keys::member(conversation, user), encode(&MemberRecord::default())),
        Table::Reactions => (keys::message(conversation, seq), encode(&ReactionsRecord::default())),
        Table::Contacts => (keys::contact(user, other), encode(&ContactRecord::default())),
        Table::Expiry => (keys::expiry(seq, conversation, number(u)?), Bytes::new()),
    };
    batch.put(table, key, value);
    Ok(())
}

fn uid(user: UserNo) -> String {
    format!("u{}", user.0)
}

fn bytes(u: &mut Unstructured<'_>) -> Result<Bytes> {
    let len = u.int_in_range(0..=20)?.min(u.len());
    Ok(u.bytes(len)?.to_vec().into())
}

fn encode(record: &impl prost::Message) -> Bytes {
    record.encode_to_vec().into()
}

/// Errors are answers too.
fn read_all(log: &Log) {
    for user in (0..80).map(UserNo) {
        drop(ready(log.account(user)));
        drop(ready(log.devices(user)));
        drop(ready(log.user_no(&uid(user))));
        drop(ready(log.memberships(user, 0, 10)));
        for conversation in (0..80).map(ConversationNo) {
            drop(ready(log.conversation_as_seen(user, conversation)));
        }
        if let Ok(bounds) = ready(log.bounds(user)) {
            drop(ready(log.entries(user, bounds.low, bounds.head, 64, 10_000)));
        }
    }
    for conversation in (0..80).map(ConversationNo) {
        drop(ready(log.conversation_head(conversation)));
    }
}
