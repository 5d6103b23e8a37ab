//! How often the hot operations allocate. Unlike a time it is the same on every machine, so a test can hold it.
//!
//! What a message costs at least: its recipient (a `String`), and nothing for its content, which is a slice of what was
//! read. What several messages share (the read buffer, the output) is allocated once for all of them.

#[path = "../benches/hot/mod.rs"]
mod hot;

use hot::{OPERATIONS, Operation};

/// Allocations of one run, at most. What comes besides the messages themselves is the growth of the output, which doubles,
/// and one block that counts who shares the read buffer.
const LIMITS: &[(&str, u64)] = &[
    ("decode_send", 1 + 1),
    ("message_item", 1),
    ("put_push", 0),
    ("server_takes_32_sends", 32 + 8),
    ("server_pushes_64_entries", 8),
    ("client_sends_32_messages", 8),
    // For each entry: sender, recipient, the entry itself.
    ("client_stores_64_entries", 64 * 3 + 2),
];

#[test]
fn hot_operations_allocate_no_more_than_they_must() {
    let mut over = Vec::new();
    for Operation { name, messages, prepare } in OPERATIONS {
        let (_, limit) = LIMITS.iter().find(|(known, _)| known == name).expect("every operation has its limit");
        let mut run = prepare();
        let count = allocation_counter::measure(&mut run).count_total;
        println!("{name}: {count} allocations for {messages} messages, at most {limit} allowed");
        if count > *limit {
            over.push(format!("{name}: {count} allocations for {messages} messages, at most {limit} allowed"));
        }
    }
    assert!(over.is_empty(), "{over:#?}");
}
