//! `kill -9` of the clients: a sender that goes on where its store says, a receiver that is shown each message once.
//!
//! Each client is this test program again, running one of the two ignored tests below as a process of its own. It
//! records what it was told in a file, so that the record survives it.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use hongyan_client::{Client, Credential, Event, LocalStore, SqliteStore, store::IN_MEMORY};
use tokio::{
    process::{Child, Command},
    task::block_in_place,
    time::timeout,
};

use super::{
    device::{Device, PATIENCE, assert_history, assert_messages, builder, content, number, uid},
    offline::UNLIMITED,
    schedule::Schedule,
    server::{TestServer, eventually},
};

/// Kills in CI; half of them hit the sender, half the receiver. The long form kills the server too.
const KILLS: usize = 8;
/// Messages for each kill.
const STRETCH: u64 = 100;
/// The variable that says where the files of a client are.
const PLACE: &str = "HONGYAN_TEST_CLIENT";
/// A line of a record: the process has begun.
const START: &str = "start";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_clients_lose_and_repeat_nothing() {
    let mut schedule = Schedule::new("client_kills");
    let kills = Schedule::kills(KILLS);
    let count = STRETCH * kills as u64;
    let mut server = TestServer::with(UNLIMITED);
    let mut sender = ClientProcess::start(&server, "sender_process", "alice", count);
    let mut receiver = ClientProcess::start(&server, "receiver_process", "bob", count);
    let tablet = Device::connect(builder(&server, "bob", "tablet")).await;
    let laptop = Device::connect(builder(&server, "alice", "laptop")).await;

    let victims = if Schedule::is_long() { 3 } else { 2 };
    for (victim, place) in schedule.places(kills, count - 1).into_iter().enumerate() {
        let record = if victim % victims == 1 { &receiver.record } else { &sender.record };
        eventually("progress before the kill", || (record.last() >= place).then_some(()));
        schedule.pass(Duration::from_millis(20)).await;
        match victim % victims {
            0 => sender.kill_and_restart().await,
            1 => receiver.kill_and_restart().await,
            _ => block_in_place(|| {
                server.kill();
                server.restart();
            }),
        }
    }
    sender.finish().await;
    receiver.finish().await;

    receiver.record.assert_complete(count);
    sender.record.assert_complete(count);
    let mut store = receiver.open_store();
    assert_eq!(store.load().unwrap().last_event, count, "every message was stored once");
    let last_at_most = store.events(0, IN_MEMORY).unwrap().iter().all(|(event, _)| *event == count);
    assert!(last_at_most, "only a process that was killed over the last one leaves it unhandled");
    let sent = sender.open_store().load().unwrap();
    assert!(sent.outbox.is_empty());
    assert_eq!(sent.meta.unwrap().last_send_no, count);
    for (device, own) in [(&tablet, false), (&laptop, true)] {
        device.wait_messages(count as usize).await;
        assert_messages(&device.shown().messages, count, own);
    }
    assert_history(&tablet.client, &uid("alice"), count, false).await;
    server.assert_healthy();
}

/// One client, in a process of its own.
struct ClientProcess {
    test: &'static str,
    place: PathBuf,
    record: Record,
    process: Child,
}

impl ClientProcess {
    fn start(server: &TestServer, test: &'static str, user: &str, count: u64) -> Self {
        let place = server.data().join(test);
        std::fs::create_dir(&place).unwrap();
        let task = format!("{} {} {count}", server.address(), server.token(user));
        std::fs::write(place.join("task"), task).unwrap();
        let process = run(test, &place);
        Self { test, record: Record::of(&place), place, process }
    }

    async fn kill_and_restart(&mut self) {
        // It may have finished by itself.
        let _ = self.process.kill().await;
        self.process = run(self.test, &self.place);
    }

    async fn finish(&mut self) {
        match timeout(PATIENCE, self.process.wait()).await {
            Ok(status) => assert!(status.unwrap().success(), "{} failed", self.test),
            Err(_) => panic!("{} came no further than {}", self.test, self.record.last()),
        }
    }

    fn open_store(&self) -> SqliteStore {
        open_store(&self.place)
    }
}

fn run(test: &str, place: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("client_kills::{test}"), "--ignored", "--nocapture"]);
    command.env(PLACE, place).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

fn open_store(place: &Path) -> SqliteStore {
    SqliteStore::open(place.join("store.db")).unwrap()
}

/// What a client was told, a line each: a number, or [`START`].
struct Record(PathBuf);

impl Record {
    fn of(place: &Path) -> Self {
        Self(place.join("record"))
    }

    fn append_to(&self) -> File {
        OpenOptions::new().create(true).append(true).open(&self.0).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.0).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The newest number.
    fn last(&self) -> u64 {
        self.lines().iter().rev().find_map(|line| line.parse().ok()).unwrap_or(0)
    }

    /// 1 ..= `count`, in order; the line at which a process was killed may stand once more, as the first of the next.
    fn assert_complete(&self, count: u64) {
        let (mut last, mut restarted) = (0, false);
        for line in self.lines() {
            if line == START {
                restarted = true;
                continue;
            }
            let number: u64 = line.parse().unwrap();
            let again = number == last && std::mem::take(&mut restarted);
            assert!(again || number == last + 1, "{number} after {last} in {}", self.0.display());
            (last, restarted) = (number, false);
        }
        assert_eq!(last, count, "the last ones are missing");
    }
}

// ------------------------------------------------------------ in the processes

/// What a client process has to do.
struct Task {
    place: PathBuf,
    address: String,
    token: String,
    count: u64,
    record: File,
}

impl Task {
    /// None: the test is not run as a client's process, or there is nothing left to do.
    fn read() -> Option<Self> {
        let place = PathBuf::from(std::env::var_os(PLACE)?);
        let task = std::fs::read_to_string(place.join("task")).unwrap();
        let words: Vec<&str> = task.split(' ').collect();
        let record = Record::of(&place);
        let count = words[2].parse().unwrap();
        let mut task = Self {
            address: words[0].into(),
            token: words[1].into(),
            count,
            record: record.append_to(),
            place: place.clone(),
        };
        task.note(START);
        (record.last() < count).then_some(task)
    }

    fn note(&mut self, line: &str) {
        self.record.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn builder(&self, store: SqliteStore) -> hongyan_client::Builder {
        let token = Credential::Token(self.token.as_str().into());
        Client::builder(&self.address).device("phone").credential(token).store(Box::new(store))
    }
}

/// Sends what its store has not sent: the i-th message has the number i and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of killed_clients_lose_and_repeat_nothing"]
async fn sender_process() {
    let Some(mut task) = Task::read() else { return };
    let mut store = open_store(&task.place);
    let next = store.load().unwrap().meta.map_or(0, |meta| meta.last_send_no) + 1;
    let (client, mut events) = task.builder(store).connect().await.unwrap();
    let (enqueuing, count) = (client.clone(), task.count);
    let enqueuing = tokio::spawn(async move {
        for number in next..=count {
            assert_eq!(enqueuing.enqueue(&uid("bob"), content(number)).await.unwrap(), number);
        }
    });
    let mut answered = 0;
    while answered < count {
        match events.next().await.unwrap() {
            Event::Sent(sent) => {
                assert_eq!(sent.cseq, sent.send_no);
                task.note(&sent.send_no.to_string());
                answered = sent.send_no;
            }
            Event::Connected { .. } | Event::Disconnected { .. } | Event::Receipt(_) => {}
            other => panic!("{other:?}"),
        }
    }
    enqueuing.await.unwrap();
    client.close().await;
}

/// Records the number of every message that it is shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of killed_clients_lose_and_repeat_nothing"]
async fn receiver_process() {
    let Some(mut task) = Task::read() else { return };
    let store = open_store(&task.place);
    let (client, mut events) = task.builder(store).connect().await.unwrap();
    let mut shown = 0;
    while shown < task.count {
        match events.next().await.unwrap() {
            Event::Message(message) => {
                shown = number(&message);
                assert_eq!(message.cseq, shown);
                task.note(&shown.to_string());
            }
            Event::Connected { .. } | Event::Disconnected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    events.handled();
    client.close().await;
}
