//! A user's device, driven by the SDK, which collects what it is shown; and what must hold for everything it was shown.

use std::{ops::RangeInclusive, time::Duration};

use hongyan_client::{
    Builder, Bytes, Client, ClientError, Content, Credential, Entry, Event, Events, HistoryQuery, Received, Sent, Uid,
};
use tokio::sync::watch;

use super::server::TestServer;

/// Messages in flight.
pub const WINDOW: usize = 64;
/// How long one step of a test with thousands of messages and reconnects may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A client, and everything its stream of events has brought.
pub struct Device {
    pub client: Client,
    shown: watch::Receiver<Shown>,
}

/// What an application has seen.
#[derive(Debug, Default)]
pub struct Shown {
    pub messages: Vec<Received>,
    pub sent: Vec<Sent>,
    /// The newest receipt.
    pub delivered: u64,
    /// One for each login: whether it was a resume.
    pub logins: Vec<bool>,
    pub disconnected: Vec<String>,
    /// How many messages had been shown before each reset.
    pub resets: Vec<usize>,
    pub stopped: Option<ClientError>,
    /// What should never come.
    pub surprises: Vec<String>,
}

impl Shown {
    fn note(&mut self, event: Event) {
        match event {
            Event::Connected { resumed } => self.logins.push(resumed),
            Event::Disconnected { reason, .. } => self.disconnected.push(reason),
            Event::Message(message) => self.messages.push(message),
            Event::Sent(sent) => self.sent.push(sent),
            Event::Receipt(receipt) if receipt.delivered_cseq > self.delivered => {
                self.delivered = receipt.delivered_cseq;
            }
            Event::Reset => self.resets.push(self.messages.len()),
            Event::Stopped(error) => self.stopped = Some(error),
            other => self.surprises.push(format!("{other:?}")),
        }
    }

    /// Numbers of the messages, in the order in which they were shown.
    pub fn numbers(&self) -> Vec<u64> {
        self.messages.iter().map(number).collect()
    }
}

impl Device {
    pub async fn connect(builder: Builder) -> Self {
        let (client, events) = builder.connect().await.unwrap();
        Self::from_parts(client, events)
    }

    pub fn from_parts(client: Client, mut events: Events) -> Self {
        let (sender, shown) = watch::channel(Shown::default());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                sender.send_modify(|shown| shown.note(event));
            }
        });
        Self { client, shown }
    }

    pub fn shown(&self) -> watch::Ref<'_, Shown> {
        self.shown.borrow()
    }

    /// Waits until what was shown is as `is_there` says.
    pub async fn wait(&self, what: &str, is_there: impl FnMut(&Shown) -> bool) {
        let found = tokio::time::timeout(PATIENCE, self.shown.clone().wait_for(is_there)).await.map(drop);
        if found.is_err() {
            let shown = self.shown();
            panic!(
                "{}: not within {PATIENCE:?}: {what}. Shown: {} messages, {} sent, delivered up to {}, logins {:?}, \
                 disconnected {:?}, resets {:?}, stopped {:?}",
                self.client.uid(),
                shown.messages.len(),
                shown.sent.len(),
                shown.delivered,
                shown.logins,
                shown.disconnected,
                shown.resets,
                shown.stopped,
            );
        }
    }

    pub async fn wait_messages(&self, count: usize) {
        self.wait(&format!("{count} messages"), |shown| shown.messages.len() >= count).await;
    }

    /// All of the conversation with `peer` has come, once and in order, and stands so in the history.
    pub async fn assert_whole(&self, peer: &Uid, count: u64, own: bool) {
        self.wait_messages(count as usize).await;
        assert_messages(&self.shown().messages, count, own);
        assert_history(&self.client, peer, count, own).await;
        assert_eq!(self.shown().surprises, Vec::<String>::new());
        assert!(self.shown().resets.is_empty(), "the log was always continued");
    }

    pub async fn wait_stopped(&self) -> ClientError {
        self.wait("the end of the client", |shown| shown.stopped.is_some()).await;
        self.shown().stopped.clone().unwrap()
    }

    /// Sends messages that say their number, with [`WINDOW`] in flight, and waits for all answers. Content and send_no
    /// agree if `numbers` begins with this device's first message.
    pub async fn send_numbers(&self, to: &Uid, numbers: RangeInclusive<u64>) {
        let before = self.shown().sent.len();
        let mut queued = 0;
        for number in numbers {
            self.wait("an answer", |shown| before + queued < shown.sent.len() + WINDOW).await;
            self.client.enqueue(to, content(number)).await.unwrap();
            queued += 1;
        }
        self.wait("all answers", |shown| shown.sent.len() >= before + queued).await;
    }
}

pub fn uid(name: &str) -> Uid {
    Uid::new(name).unwrap()
}

pub fn content(number: u64) -> Bytes {
    Content::text(&number.to_string())
}

/// What the content says.
pub fn number(message: &Received) -> u64 {
    Content::as_text(&message.content).unwrap().parse().unwrap()
}

/// A builder for a user's device on the server, with a token.
pub fn builder(server: &TestServer, user: &str, device: &str) -> Builder {
    builder_at(&server.address().to_string(), &server.token(user), device)
}

/// The same through another address, such as a proxy's.
pub fn builder_at(address: &str, token: &str, device: &str) -> Builder {
    Client::builder(address).device(device).credential(Credential::Token(token.into())).connect_timeout(PATIENCE)
}

// ------------------------------------------------------------ what must hold

/// 1 ..= `count`, in order, each once, under rising numbers.
pub fn assert_messages(shown: &[Received], count: u64, own: bool) {
    let numbers: Vec<u64> = shown.iter().map(number).collect();
    assert_counts_up(&numbers, count);
    for (message, expected) in shown.iter().zip(1..) {
        assert_eq!((message.cseq, message.own), (expected, own), "message {expected}: {message:?}");
    }
    assert!(shown.is_sorted_by(|a, b| a.useq < b.useq), "useq does not rise");
}

/// Each send_no 1 ..= `count` answered once, with the number that its message then has.
pub fn assert_sent(sent: &[Sent], count: u64) {
    let numbers: Vec<u64> = sent.iter().map(|sent| sent.send_no).collect();
    assert_counts_up(&numbers, count);
    assert!(sent.iter().all(|sent| sent.cseq == sent.send_no), "cseq and content differ");
    assert!(sent.is_sorted_by(|a, b| a.useq < b.useq), "useq does not rise");
}

pub fn assert_counts_up(numbers: &[u64], count: u64) {
    let wrong = numbers.iter().zip(1..).find(|(number, expected)| *number != expected);
    if let Some((number, expected)) = wrong {
        let again = numbers[..expected as usize - 1].contains(number);
        let what = if again { "shown before" } else { "something is missing before it" };
        panic!("place {expected} has {number}: {what}");
    }
    assert_eq!(numbers.len() as u64, count, "the last ones are missing, or there are more");
}

/// The whole conversation with `peer`, page by page.
pub async fn history(client: &Client, peer: &Uid) -> Vec<Received> {
    let mut messages: Vec<Received> = Vec::new();
    loop {
        let after = messages.last().map_or(0, |message| message.cseq);
        let query = HistoryQuery { after, limit: 200, forward: true, ..HistoryQuery::default() };
        let page = client.history(peer, query).await.unwrap();
        messages.extend(page.entries.into_iter().filter_map(|entry| match entry {
            Entry::Message(message) => Some(message),
            Entry::Changed(_) => None,
        }));
        if !page.more {
            assert_eq!(page.head_cseq, messages.last().map_or(0, |message| message.cseq));
            return messages;
        }
    }
}

/// The history says the same to both ends.
pub async fn assert_history(client: &Client, peer: &Uid, count: u64, own: bool) {
    let messages = history(client, peer).await;
    let numbers: Vec<u64> = messages.iter().map(number).collect();
    assert_counts_up(&numbers, count);
    assert!(messages.iter().zip(1..).all(|(message, cseq)| message.cseq == cseq && message.own == own));
}
