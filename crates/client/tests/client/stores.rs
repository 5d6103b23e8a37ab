//! Both stores keep the same promises; the file keeps some more.

use hongyan_client::{
    MemoryStore, SqliteStore, StoreError,
    store::{
        Answer, Capacity, Change, ConversationMark, LocalStore, Meta, OutboxItem, Outcome, StoredEvent, Unread,
        stored_event::Kind,
    },
};
use hongyan_proto::wire;

fn item(send_no: u64) -> OutboxItem {
    OutboxItem { send_no, to: "bob".into(), content: send_no.to_string().into(), ..Default::default() }
}

fn answer(send_no: u64) -> Answer {
    let ack = wire::SendAck { send_no, cseq: send_no, ..Default::default() };
    Answer { to: "bob".into(), outcome: Some(Outcome::Sent(ack)) }
}

fn event() -> StoredEvent {
    StoredEvent { kind: Some(Kind::Reset(true)) }
}

fn keeps_its_promises(store: &mut dyn LocalStore) {
    assert!(store.load().unwrap().meta.is_none());
    let meta = Meta { device_epoch: 7, cursor: Some(3), ..Meta::default() };
    let mark = ConversationMark { high: 9, ..ConversationMark::default() };
    let change = Change {
        meta: Some(meta.clone()),
        queued: (1..=3).map(item).collect(),
        events: vec![(1, event()), (2, event()), (3, event())],
        conversations: vec![("bob".into(), mark.clone())],
        ..Change::default()
    };
    store.commit(&change).unwrap();
    store.commit(&Change { answers: vec![(2, answer(2))], shown: 1, ..Change::default() }).unwrap();
    store.mark().set(2);
    store.mark().set(1);
    let loaded = store.load().unwrap();
    assert_eq!(loaded.meta, Some(meta));
    assert_eq!(loaded.outbox, [item(1), item(3)]);
    let bytes = prost::Message::encoded_len(&event());
    assert_eq!(loaded.unread, Unread { events: 1, bytes, answers: 0 });
    assert_eq!(store.events(0, Capacity { events: 9, bytes: 9 }).unwrap(), [(3, event())]);
    assert_eq!(loaded.last_event, 3);
    assert_eq!(loaded.conversations, [("bob".to_owned(), mark)]);
    assert_eq!(store.answer(2).unwrap(), Some(answer(2)));
    assert_eq!(store.answer(1).unwrap(), None);
    let many = (1000..=2100).map(|send_no| (send_no, answer(send_no))).collect();
    store.commit(&Change { answers: many, shown: 3, ..Change::default() }).unwrap();
    assert_eq!(store.answer(2).unwrap(), None, "old answers are forgotten");
    assert!(store.answer(1101).unwrap().is_some() && store.answer(1100).unwrap().is_none());
    assert_eq!(store.load().unwrap().last_event, 3, "numbers are not given out again");

    let reply = StoredEvent { kind: Some(Kind::Answer(answer(3))) };
    let events = vec![(4, reply.clone()), (5, event()), (6, event())];
    store.commit(&Change { events, ..Change::default() }).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!((loaded.unread.events, loaded.unread.answers), (3, 1));
    assert_eq!(store.events(3, Capacity { events: 2, bytes: 999 }).unwrap(), [(4, reply), (5, event())]);
    assert_eq!(store.events(4, Capacity { events: 9, bytes: 1 }).unwrap(), [(5, event())], "one at least");
    assert_eq!(store.events(6, Capacity { events: 9, bytes: 9 }).unwrap(), []);
}

#[test]
fn in_memory() {
    keeps_its_promises(&mut MemoryStore::new());
}

#[test]
fn in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new").join("phone.db");
    let mut store = SqliteStore::open(&path).unwrap();
    keeps_its_promises(&mut store);
    drop(store);
    let mut store = SqliteStore::open(&path).unwrap();
    assert_eq!((store.mark().read(), store.load().unwrap().last_event), (2, 6));
}

#[test]
fn a_file_has_one_user_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phone.db");
    let store = SqliteStore::open(&path).unwrap();
    let mark = store.mark();
    let refused = SqliteStore::open(&path).err().unwrap();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    drop(store);
    SqliteStore::open(&path).expect("the mark does not hold the lock");
    mark.set(0);
}

#[test]
fn a_mark_without_its_database_counts_for_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("phone.db");
    let mut store = SqliteStore::open(&path).unwrap();
    store.commit(&Change { events: vec![(1, event())], ..Change::default() }).unwrap();
    store.mark().set(1);
    drop(store);
    for file in ["phone.db", "phone.db-wal", "phone.db-shm"] {
        let _ = std::fs::remove_file(directory.path().join(file));
    }
    assert_eq!(SqliteStore::open(&path).unwrap().mark().read(), 0);
}

#[cfg(unix)]
#[test]
fn files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let parent = directory.path().join("new");
    let mut store = SqliteStore::open(parent.join("phone.db")).unwrap();
    store.commit(&Change { meta: Some(Meta::default()), ..Change::default() }).unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&parent), 0o700);
    for file in ["phone.db", "phone.db-wal", "phone.db-mark"] {
        assert_eq!(mode(&parent.join(file)), 0o600, "{file}");
    }
}
