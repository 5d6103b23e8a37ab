//! `kill -9` at each step of a commit, in a process of its own: before anything is written, while it is written and
//! synced, and when it is durable but nobody knows yet. What was acknowledged is there, once, whatever the step.
//!
//! `HONGYAN_TEST_KILLS=300 cargo test -p hongyan --lib at_every_step -- --nocapture` runs more of them.

use std::{
    env, fmt,
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    thread,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::process::{Signal, getpid, kill_process};

use super::*;
use crate::{
    log::{HistoryRange, verify::verify},
    store::{
        DumpSink, Row, Scan, StoreFuture,
        fjall::{FjallEngine, FjallOptions},
    },
};

const TASK: &str = "HONGYAN_TEST_COMMIT_KILL";
/// Messages under way at once.
const IN_FLIGHT: u64 = 4;
const KILLS: u64 = 9;

/// Where in a commit the process ends.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// The batch is staged, with all its numbers; the engine has not seen it.
    Staged,
    /// The engine writes and syncs; the process ends some microseconds into it.
    Writing(u64),
    /// The batch is durable and holds a message; no effect of it has happened.
    Durable,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Staged => f.write_str("staged 0"),
            Step::Writing(micros) => write!(f, "writing {micros}"),
            Step::Durable => f.write_str("durable 0"),
        }
    }
}

/// What has been said too early has a moment to get out.
fn die() {
    thread::sleep(Duration::from_millis(2));
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Ends the process at a step of the n-th commit, or of the next one where that is none for this step.
struct Killing {
    engine: FjallEngine,
    step: Step,
    left: AtomicI64,
}

impl Engine for Killing {
    fn commit(&self, batch: Batch, durability: Durability) -> StoreFuture<'_, ()> {
        let fits = self.step != Step::Durable || batch.writes.iter().any(|write| write.table == Table::Messages);
        let is_last = self.left.fetch_sub(1, Ordering::SeqCst) <= 1 && fits;
        match self.step {
            Step::Staged if is_last => die(),
            Step::Writing(micros) if is_last => {
                thread::spawn(move || {
                    thread::sleep(Duration::from_micros(micros));
                    die();
                });
            }
            _ => {}
        }
        let committed = self.engine.commit(batch, durability);
        Box::pin(async move {
            let result = committed.await;
            if is_last && self.step == Step::Durable {
                die();
            }
            result
        })
    }

    fn get(&self, table: Table, key: Bytes) -> StoreFuture<'_, Option<Bytes>> {
        self.engine.get(table, key)
    }

    fn scan(&self, scan: Scan) -> StoreFuture<'_, Vec<Row>> {
        self.engine.scan(scan)
    }

    fn dump(&self, each: &mut DumpSink<'_>) -> Result<(), StoreError> {
        self.engine.dump(each)
    }
}

fn body(number: u64) -> Bytes {
    number.to_string().into()
}

/// The process that is killed. Alice goes on behind the last message that she knows to be taken; Bob acks what he gets,
/// so that cursors, receipts and logins are committed among the messages.
#[tokio::test]
#[ignore = "started by a_process_killed_at_every_step_of_a_commit_loses_and_doubles_nothing"]
async fn child() {
    let Ok(task) = env::var(TASK) else { return };
    let words: Vec<&str> = task.split(' ').collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    let step = match words[1] {
        "staged" => Step::Staged,
        "durable" => Step::Durable,
        _ => Step::Writing(number(2)),
    };
    let (acknowledged, commits) = (number(3), number(4));
    let engine = FjallEngine::open(Path::new(words[0]), FjallOptions::default()).unwrap();
    let engine = Arc::new(Killing { engine, step, left: AtomicI64::new(commits as i64) });
    let log = Log::new(engine);
    let settings = CommitterSettings { send_window: 64, receipt_delay: Duration::ZERO, ..settings() };
    let front = Front::new();
    let mut committer = Committer::open(log, Arc::default(), settings, front.outlet()).await.unwrap();
    let now = || Now { instant: Instant::now(), unix_ms: 1_800_000_000_000 };
    let mut channels = Vec::new();
    for uid in ["bob", "alice"] {
        let credential = Credential { last_send_no: 1 << 40, log_epoch: 0, ..credential(uid, "phone") };
        let who = Who::Credential(credential);
        channels.push(front.log_in(&mut committer, now(), who, [1; 32]).await.unwrap());
    }
    let [bob, alice] = &channels[..] else { unreachable!("two have logged in") };
    assert!(bob.channel.catch_up(bob.head));
    let last = Arc::new(AtomicU64::new(acknowledged));
    thread::spawn({
        let (alice, last) = (alice.channel.clone(), last.clone());
        move || tell(&alice, &last)
    });
    loop {
        let next = last.load(Ordering::SeqCst) + 1;
        let sends = (next..next + IN_FLIGHT).map(|send_no| {
            let asked = Asked::Message { content: body(send_no), extras: None };
            let body = Ok(Addressed { to: ConversationId::new("bob").ok(), asked });
            Op::Submit(Submit { from: alice.channel.id, op: None, number: SendNumber::Given(send_no), body })
        });
        committer.process(sends.collect(), now()).await;
        while last.load(Ordering::SeqCst) < next + IN_FLIGHT - 1 {
            thread::yield_now();
        }
        let mut got = 0;
        while let Some(outbound) = bob.channel.take(true) {
            if let Outbound::Entry { useq, .. } = outbound {
                got = useq;
            }
        }
        committer.process(vec![acked(&bob.channel, got)], now()).await;
    }
}

/// Prints what is acknowledged the moment it is.
fn tell(channel: &Channel, last: &AtomicU64) {
    let mut stdout = std::io::stdout();
    loop {
        while let Some(outbound) = channel.take(true) {
            let Outbound::Acked(ack) = outbound else { continue };
            // An answer that is repeated after a restart is a first one here.
            assert_eq!((ack.send_no, ack.cseq), (last.load(Ordering::SeqCst) + 1, ack.send_no));
            writeln!(stdout, "\nacknowledged {}", ack.send_no).and_then(|()| stdout.flush()).unwrap();
            last.store(ack.send_no, Ordering::SeqCst);
        }
        thread::yield_now();
    }
}

/// Runs the child until it ends itself; the last number that it acknowledged.
fn live_and_die(dir: &Path, step: Step, acknowledged: u64, commits: u64) -> u64 {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["committer::tests::kills::child", "--exact", "--ignored", "--nocapture"])
        .env(TASK, format!("{} {step} {acknowledged} {commits}", dir.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let numbers = lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
    let last = numbers.last().unwrap_or(acknowledged);
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "it ended otherwise: {status}");
    last
}

/// 1, 2, 3 … up to all that is acknowledged, and what was under way at most, each with its own content.
async fn check(dir: &Path, acknowledged: u64) -> u64 {
    let engine = Arc::new(FjallEngine::open(dir, FjallOptions::default()).unwrap());
    let report = verify(&*engine).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let log = Log::new(engine);
    let (Some(alice), Some(bob)) = (log.user_no("alice").await.unwrap(), log.user_no("bob").await.unwrap()) else {
        assert_eq!(acknowledged, 0);
        return 0;
    };
    let Some(conversation) = log.conversation_between(alice, bob).await.unwrap() else {
        assert_eq!(acknowledged, 0);
        return 0;
    };
    let range = HistoryRange { after: 0, before: 0, limit: usize::MAX, forward: true };
    let messages = log.history(conversation, range).await.unwrap();
    for (expected, (cseq, row)) in (1..).zip(&messages) {
        let entry = <wire::Entry as prost::Message>::decode(row.clone()).unwrap();
        let Some(wire::entry::Item::Message(message)) = entry.item else { panic!("{entry:?}") };
        assert_eq!((*cseq, message.content), (expected, body(expected)), "lost, doubled or exchanged");
    }
    let stored = messages.len() as u64;
    assert!((acknowledged..=acknowledged + IN_FLIGHT).contains(&stored), "{stored} of {acknowledged} are there");
    stored
}

#[test]
fn a_process_killed_at_every_step_of_a_commit_loses_and_doubles_nothing() {
    let number = |name: &str| env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let seed = number("HONGYAN_TEST_SEED").unwrap_or_else(|| rand::random_range(0..1_000_000));
    println!("HONGYAN_TEST_SEED={seed} replays these kills");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let kills = number("HONGYAN_TEST_KILLS").unwrap_or(KILLS);
    let (mut acknowledged, mut unsaid) = (0, 0);
    for kill in 0..kills {
        let step = match kill % 3 {
            0 => Step::Staged,
            1 => Step::Writing(random.random_range(0..1500)),
            _ => Step::Durable,
        };
        acknowledged = live_and_die(dir.path(), step, acknowledged, random.random_range(1..40));
        let stored = runtime.block_on(check(dir.path(), acknowledged));
        unsaid += stored - acknowledged;
    }
    println!("{kills} kills: {acknowledged} acknowledged, 0 lost, 0 doubled; {unsaid} were kept unsaid, and repeated");
    assert!(unsaid > 0 || kills < 3, "a commit that is durable and not told of was among them");
}
