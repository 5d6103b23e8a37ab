//! A scripted server: the real protocol over loopback TCP, and a test that decides every answer.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use hongyan_client::{Builder, Client, Content, Credential, Event as Told, Events, Received, Uid};
use hongyan_proto::{
    server::{Connection, Event, PushSettings, Settings, encode_item},
    wire::{self, entry::Item, request::Op, response::Result as Response},
};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

/// Whatever a test waits for comes within this time, or the test fails.
pub const DEADLINE: Duration = Duration::from_secs(10);
pub const LOG_EPOCH: u64 = 77;

pub fn limits() -> wire::Limits {
    wire::Limits {
        max_frame: 65_536,
        max_content: 1_000,
        push_window: 64,
        heartbeat_ms: 60_000,
        heartbeat_min_ms: 50,
        heartbeat_max_ms: 600_000,
        sends_per_s: 1_000,
        send_burst: 1_000,
        id: 5,
    }
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("no {what} in time"))
}

pub struct Server {
    listener: TcpListener,
    settings: Arc<Settings>,
}

impl Server {
    pub async fn start() -> Self {
        let settings =
            Settings { login_timeout: DEADLINE, limits: limits(), send_window: 64, push: PushSettings::default() };
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), settings: Arc::new(settings) }
    }

    /// Takes many large messages at once, over connections of which the kernel holds little.
    pub async fn narrow() -> Self {
        let limits = wire::Limits { max_content: 32_768, ..limits() };
        let settings = Settings { login_timeout: DEADLINE, limits, send_window: 1_000, push: PushSettings::default() };
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        // What the kernel gives a connection to send from follows from the size of its segments.
        SockRef::from(&socket).set_tcp_mss(536).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { listener: socket.listen(8).unwrap(), settings: Arc::new(settings) }
    }

    pub fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// alice's phone, with a token.
    pub fn client(&self) -> Builder {
        Client::builder(&self.address()).device("phone").credential(Credential::Token("secret".into())).uid("alice")
    }

    pub async fn accept(&self) -> Peer {
        let (stream, _) = within("connection", self.listener.accept()).await.unwrap();
        let connection = Connection::new(Arc::clone(&self.settings), std::time::Instant::now());
        Peer { stream, connection, list: Some(Vec::new()), early: BytesMut::new() }
    }

    /// Whether a connection is waiting to be accepted.
    pub async fn is_called(&self) -> bool {
        timeout(Duration::ZERO, self.listener.accept()).await.is_ok()
    }

    /// Connects a client and answers its HELLO.
    pub async fn connect(&self, builder: Builder, head: u64) -> (Client, Events, Peer) {
        let serve = async {
            let mut peer = self.accept().await;
            peer.welcome(head).await;
            peer
        };
        let (client, peer) = tokio::join!(within("login", builder.connect()), serve);
        let (client, mut events) = client.unwrap();
        connected(&mut events, false).await;
        (client, events, peer)
    }
}

pub struct Peer {
    stream: TcpStream,
    pub connection: Connection,
    /// What is answered by itself to whoever asks for conversations; None: the test answers.
    pub list: Option<Vec<wire::Conversation>>,
    /// Bytes that leave ahead of what the connection writes.
    pub early: BytesMut,
}

impl Peer {
    /// The next thing that the client wants, after everything was written.
    pub async fn event(&mut self) -> Event {
        within("event from the client", async {
            loop {
                while let Some(event) = self.connection.poll_event(std::time::Instant::now()) {
                    if !self.answers_by_itself(&event) {
                        return event;
                    }
                }
                self.flush().await;
                let mut bytes = BytesMut::new();
                if self.stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    panic!("the client has closed the connection");
                }
                self.connection.handle_bytes(bytes, std::time::Instant::now());
            }
        })
        .await
    }

    fn answers_by_itself(&mut self, event: &Event) -> bool {
        let Event::Request(request) = event else { return false };
        let Some(Op::Conversations(asked)) = &request.op else { return false };
        let Some(list) = &self.list else { return false };
        let is_asked =
            |row: &&wire::Conversation| asked.conversation.is_empty() || row.conversation == asked.conversation;
        let conversations = list.iter().filter(is_asked).cloned().collect();
        let page = wire::ConversationsPage { conversations, next: 0 };
        self.connection.respond(&wire::Response { id: request.id, result: Some(Response::Conversations(page)) });
        true
    }

    pub async fn flush(&mut self) {
        let mut output = self.early.split();
        output.unsplit(self.connection.take_output());
        // The client may be gone; then the test finds out by what it waits for.
        let _ = self.stream.write_all(&output).await;
    }

    /// Writes bytes that the protocol would not.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.flush().await;
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The bare connection, for what the protocol would not do.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Whether the client has left this connection.
    pub async fn is_left(&mut self) -> bool {
        let mut byte = [0];
        matches!(timeout(Duration::ZERO, self.stream.peek(&mut byte)).await, Ok(Ok(0) | Err(_)))
    }

    /// Waits until the client has left.
    pub async fn left(&mut self) {
        let mut rest = Vec::new();
        let _ = within("end of the connection", self.stream.read_to_end(&mut rest)).await;
    }

    pub async fn hello(&mut self) -> wire::Hello {
        match self.event().await {
            Event::Hello(hello) => *hello,
            other => panic!("{other:?} instead of a HELLO"),
        }
    }

    pub async fn resume(&mut self) -> wire::Resume {
        match self.event().await {
            Event::Resume(resume) => *resume,
            other => panic!("{other:?} instead of a RESUME"),
        }
    }

    /// Expects a HELLO and accepts it: entries follow after its cursor (or 0) up to `head`.
    pub async fn welcome(&mut self, head: u64) -> wire::Hello {
        let hello = self.hello().await;
        self.accept_hello(&hello, head).await;
        hello
    }

    pub async fn accept_hello(&mut self, hello: &wire::Hello, head: u64) {
        let welcome = wire::Welcome {
            conn_epoch: 1,
            resume_token: Bytes::from_static(b"first"),
            resume_ttl_s: 3600,
            head,
            // Of a device that is new here.
            last_send_no: hello.answered_send_no,
            log_epoch: LOG_EPOCH,
            cursor: hello.cursor.unwrap_or(0),
            uid: "alice".into(),
            ..Default::default()
        };
        self.connection.welcome(welcome, std::time::Instant::now());
        self.flush().await;
    }

    /// Expects a RESUME with `token` and accepts it, giving out `next`.
    pub async fn resumed(&mut self, token: &'static [u8], next: &'static [u8], head: u64, last: u64) -> wire::Resume {
        let resume = self.resume().await;
        assert_eq!(resume.resume_token, token);
        let resumed = wire::Resumed {
            conn_epoch: 2,
            resume_token: Bytes::from_static(next),
            head,
            last_send_no: last,
            ..Default::default()
        };
        self.connection.resumed(resumed, resume.cursor, resume.limits_id, std::time::Instant::now());
        self.flush().await;
        resume
    }

    /// Pushes a message from bob whose text is its number.
    pub async fn push(&mut self, useq: u64, cseq: u64) {
        let item = encode_item(message("bob", "alice", cseq));
        assert!(self.connection.push(useq, 0, &item, std::time::Instant::now()), "{useq} is the next entry");
        self.flush().await;
    }

    /// Pushes an entry of the log; `own_send_no`: it is what the client has sent under this number.
    pub async fn push_item(&mut self, useq: u64, own_send_no: u64, item: Item) {
        let item = encode_item(item);
        assert!(self.connection.push(useq, own_send_no, &item, std::time::Instant::now()), "{useq} is the next entry");
        self.flush().await;
    }

    /// Pushes what stands in no log.
    pub async fn pass(&mut self, item: Item) {
        self.connection.pass(&encode_item(item));
        self.flush().await;
    }

    /// Expects a question for a part of a conversation, and answers it with these entries.
    pub async fn answer_history(&mut self, after: u64, items: Vec<Item>, head_cseq: u64) {
        let request = self.request().await;
        let Some(Op::History(asked)) = request.op else { panic!("{request:?} instead of a history request") };
        assert_eq!((asked.after, asked.forward), (after, true));
        let entry = |item| wire::Entry { item: Some(item), ..Default::default() };
        let entries = items.into_iter().map(entry).collect();
        let page = wire::HistoryPage { entries, head_cseq, ..Default::default() };
        self.respond(request.id, Response::History(page)).await;
    }

    pub async fn send(&mut self) -> wire::Send {
        loop {
            match self.event().await {
                Event::Send(send) => return send,
                Event::Acked(_) => {}
                other => panic!("{other:?} instead of a SEND"),
            }
        }
    }

    /// Waits for the ack of `useq`.
    pub async fn acked(&mut self, useq: u64) {
        loop {
            match self.event().await {
                Event::Acked(acked) if acked >= useq => return,
                Event::Acked(_) => {}
                other => panic!("{other:?} instead of an ACK"),
            }
        }
    }

    pub async fn request(&mut self) -> wire::Request {
        loop {
            match self.event().await {
                Event::Request(request) => return *request,
                Event::Acked(_) => {}
                other => panic!("{other:?} instead of a REQUEST"),
            }
        }
    }

    pub async fn respond(&mut self, id: u64, result: wire::response::Result) {
        self.connection.respond(&wire::Response { id, result: Some(result) });
        self.flush().await;
    }

    pub async fn answer(&mut self, send_no: u64, cseq: u64, useq: u64) {
        let ack = wire::SendAck { send_no, cseq, useq, time_ms: 1_000 + cseq, group: 0 };
        self.connection.acked(ack, std::time::Instant::now());
        self.flush().await;
    }
}

pub fn message(from: &str, to: &str, cseq: u64) -> Item {
    let content = Content::text(&cseq.to_string());
    Item::Message(wire::Message {
        from: from.into(),
        to: to.into(),
        cseq,
        time_ms: 1_000 + cseq,
        content,
        ..Default::default()
    })
}

/// Something that `by` has done in the conversation or group `to`.
pub fn act(by: &str, to: &str, cseq: u64, what: wire::act::What) -> Item {
    let Item::Message(message) = message(by, to, cseq) else { unreachable!() };
    let act = Some(Box::new(wire::Act { what: Some(what) }));
    Item::Message(wire::Message { act, content: Bytes::new(), ..message })
}

pub fn bob() -> Uid {
    Uid::new("bob").unwrap()
}

pub async fn next(events: &mut Events) -> Told {
    within("event", events.next()).await.expect("the client has not stopped")
}

pub async fn connected(events: &mut Events, by_resume: bool) {
    loop {
        match next(events).await {
            Told::Connected { resumed } => return assert_eq!(resumed, by_resume),
            Told::Disconnected { .. } => {}
            other => panic!("{other:?} instead of Connected"),
        }
    }
}

/// The next message, whatever is told of connections before it.
pub async fn received(events: &mut Events) -> Received {
    loop {
        match next(events).await {
            Told::Message(message) => return message,
            Told::Connected { .. } | Told::Disconnected { .. } => {}
            other => panic!("{other:?} instead of a message"),
        }
    }
}

/// Waits until the client has read and handled everything that was written to it.
pub async fn settle(client: &Client, peer: &mut Peer) {
    let ping = tokio::spawn({
        let client = client.clone();
        async move { client.ping().await }
    });
    let answer = async {
        loop {
            let event = peer.event().await;
            assert!(matches!(event, Event::Acked(_)), "{event:?}");
        }
    };
    tokio::select! {
        result = ping => { result.unwrap().unwrap(); }
        () = answer => {}
    }
}
