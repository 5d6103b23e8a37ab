//! Bugs that are planted one after the other in the server and in the client's end of the protocol, and must be found. A
//! check that cannot fail proves nothing; nor does a simulation that would not have seen the bug.

use std::panic::catch_unwind;

use hongyan_proto::canary;

use super::run::run;

/// Each with what it does. They are switched where [`canary::is`] asks for them.
const CANARIES: &[(&str, &str)] = &[
    ("ack-before-sync", "messages are answered before they are on stable storage"),
    ("effects-before-commit", "answers and pushes leave before the commit"),
    ("effects-of-a-failed-commit", "answers and pushes leave though the commit has failed"),
    ("answers-apart-from-messages", "a device's numbers are not written with its messages"),
    ("answers-not-kept", "what a SEND was answered is not kept for its repetition"),
    ("users-of-a-failed-commit", "after a commit has failed, memory still has its users"),
    ("numbers-of-a-failed-commit", "after a commit has failed, the numbers of its conversations are used up"),
    ("acks-of-a-failed-commit", "after a commit has failed, the acks in it are forgotten"),
    ("no-sync-at-the-start", "what a killed server left unsynced is answered for"),
    ("store-goes-on-after-a-failed-sync", "the store takes commits after a sync has failed"),
    ("refused-for-good-while-full", "a full disk refuses messages for good"),
    ("gap-taken", "a jump in a device's numbers is not noticed"),
    ("send-not-fenced", "an older connection of a device may still send"),
    ("ack-not-fenced", "an older connection of a device may still ack"),
    ("older-connection-wins", "a login that was given up replaces the one after it"),
    ("no-device-epoch", "a device that has lost its state is taken for its older self"),
    ("token-accepted-twice", "a resume token stays good after its successor was used"),
    ("resume-below-the-log", "a resume from where the log is trimmed is served from what is left"),
    ("login-below-the-log", "a login from where the log is trimmed is served from what is left"),
    ("trim-unacked", "a timeline is trimmed above what devices have"),
    ("cursor-before-ack", "a device's cursor is ahead of its acks"),
    ("receipts-for-unacked", "delivered receipts do not wait for acks"),
    ("forged-sender", "a message names another sender"),
    ("own-devices-not-told", "the sender's other devices are not offered the message"),
    ("own-message-as-news", "a device gets its own message as if it were another's"),
    ("route-not-removed", "the channel of a connection that has ended stays in the session map"),
    ("replaced-stays-bound", "an older connection of a device stays in the session map"),
    ("replaced-not-closed", "an older connection of a device is not told that it was replaced"),
    ("queue-without-bound", "entries wait for a slow device without bound"),
    ("caught-up-too-soon", "a device that reads the log is taken for live too soon"),
    ("nobody-rings", "a link is not woken when something waits for it"),
    ("window-ignored", "entries are pushed beyond the window"),
    ("push-with-gaps", "entries are pushed in any order"),
    ("ack-unchecked", "an ack of what was never pushed is believed"),
    ("own-message-behind-a-rewind", "an ack of an own message during a retransmission ends the connection"),
    ("credit-ignored", "a device may send beyond its credit"),
    ("strangers-tolerated", "frames before the login are let pass"),
    ("silence-tolerated", "a silent connection is never ended"),
    ("no-login-timeout", "a connection without a login is never ended"),
    ("outsiders-may-act", "who is not in a group may write in it"),
    ("removed-member-still-gets-it", "a removed member gets what is written after"),
    ("departed-still-attends", "a former member of a large group gets what is written after"),
    ("history-before-joining-visible", "a new member sees what was written before"),
    ("crossing-drops-one", "a group that grows large forgets a member"),
    ("login-attends-nothing", "a login is not told what is written in large groups"),
    ("hints-forgotten", "what is dropped of a large group is never hinted at"),
    ("receipt-to-wrong-author", "a receipt is told to somebody else"),
    ("edit-after-recall", "what was taken back may still be edited"),
    ("edit-by-anybody", "anybody may edit a message"),
    ("recall-leaves-the-body-in-an-edit", "an edit keeps its content in the store after its message was taken back"),
    ("device-shows-twice", "the client hands a repeated entry to the application"),
    ("device-acks-unstored", "the client acks before the entries are stored"),
];

/// How many seeds from `first` on it takes to find the canary, and what the last of them says.
fn find(name: &'static str, first: u64, most: u64) -> Option<(u64, String)> {
    canary::plant(Some(name));
    let found = (first..first + most).find_map(|seed| {
        // An assertion that the bug runs into has found it too.
        let violation = catch_unwind(|| run(seed).violation).unwrap_or_else(|_| Some("a panic".into()));
        violation.map(|violation| (seed - first + 1, violation))
    });
    canary::plant(None);
    found
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |number| number.parse().expect("a number"))
}

/// Prints how many seeds each canary takes, the median of several starts.
#[test]
#[ignore = "takes minutes: cargo test --profile sim -p hongyan --lib sim::canaries -- --ignored --nocapture"]
fn every_canary_is_found() {
    let (starts, most) = (number("HONGYAN_SIM_STARTS", 1), number("HONGYAN_SIM_SEEDS", 20_000));
    let only = std::env::var("HONGYAN_SIM_CANARY").unwrap_or_default();
    let mut missed = Vec::new();
    eprintln!("| canary | what is wrong | seeds, median of {starts} | found as |\n|---|---|---|---|");
    for (name, what) in CANARIES.iter().filter(|(name, _)| name.contains(&only)) {
        let mut found: Vec<_> = (0..starts).filter_map(|start| find(name, start * 1_000_000, most)).collect();
        found.sort();
        match found.get(found.len() / 2) {
            Some((seeds, violation)) if found.len() as u64 == starts => {
                let short: String = violation.chars().take(60).collect();
                eprintln!("| {name} | {what} | {seeds} | {short} |");
            }
            _ => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "not found within {most} seeds: {missed:?}");
}

/// One of the loud ones, so that every run of the tests shows that the simulation can fail at all.
#[test]
fn a_loud_canary_is_found() {
    assert!(find("receipts-for-unacked", 0, 100).is_some());
}
