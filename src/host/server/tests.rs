//! Parts of a server that fail, in this process and over real sockets.

use std::{
    panic,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::{Bytes, BytesMut};
use hongyan_proto::{
    canary,
    codec::{Decoder, MAX_FRAME, PREFACE},
    frame::Frame,
    wire::{self, hello::Credential},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::{
    host::{assemble, panics},
    session::operator::{Request, Response},
    store::{Batch, DumpSink, Durability, Engine, Row, Scan, StoreError, StoreFuture, Table, memory::MemoryEngine},
};

/// How long anything may take here.
const SOON: Duration = Duration::from_secs(10);

/// A store whose commits panic when it is told so.
#[derive(Default)]
struct Breakable {
    rows: MemoryEngine,
    is_broken: AtomicBool,
}

impl Engine for Breakable {
    fn commit(&self, batch: Batch, durability: Durability) -> StoreFuture<'_, ()> {
        assert!(!self.is_broken.load(Ordering::Relaxed), "the store is broken on purpose");
        self.rows.commit(batch, durability)
    }

    fn get(&self, table: Table, key: Bytes) -> StoreFuture<'_, Option<Bytes>> {
        self.rows.get(table, key)
    }

    fn scan(&self, scan: Scan) -> StoreFuture<'_, Vec<Row>> {
        self.rows.scan(scan)
    }

    fn dump(&self, each: &mut DumpSink<'_>) -> Result<(), StoreError> {
        self.rows.dump(each)
    }
}

struct Rig {
    engine: Arc<Breakable>,
    service: Arc<Service>,
    native: SocketAddr,
    http: SocketAddr,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), Death>>,
    _data: tempfile::TempDir,
}

impl Rig {
    async fn start() -> Self {
        let data = tempfile::Builder::new().prefix("hy").tempdir().unwrap();
        let any = vec!["127.0.0.1:0".parse().unwrap()];
        let config = Config { data: data.path().to_owned(), listen: any.clone(), http: Some(any), ..Config::default() };
        let engine = Arc::new(Breakable::default());
        let tokens = assemble::tokens(&config).unwrap();
        let opened = open::open_with(&config, engine.clone(), tokens).await.unwrap();
        let service = opened.service.clone();
        let server = Server::bind_opened(config, None, opened).unwrap();
        let (native, http) = (server.native_addresses().unwrap()[0], server.http_addresses().unwrap()[0]);
        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(server.run(async { drop(stopped.await) }));
        Self { engine, service, native, http, stop, run, _data: data }
    }

    async fn token(&self, uid: &str) -> String {
        let request = Request::MintToken { uid: uid.into(), ttl_s: 3600, device: None };
        match self.service.operate(request).await {
            Response::Token(token) => token,
            other => panic!("{other:?}"),
        }
    }

    async fn ready(&self) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.into())
    }

    async fn ended(self) -> Result<(), Death> {
        timeout(SOON, self.run).await.expect("a server that has failed does not hang").unwrap()
    }
}

/// A connection of the native port.
struct Client {
    stream: TcpStream,
    decoder: Decoder,
}

impl Client {
    async fn hello(rig: &Rig, uid: &str, token: &str) -> Self {
        let credential = Some(Credential::Token(token.into()));
        let hello =
            wire::Hello { uid: uid.into(), device: "phone".into(), device_epoch: 1, credential, ..Default::default() };
        let mut bytes = BytesMut::from(&PREFACE[..]);
        Frame::Hello(hello).encode(&mut bytes);
        let mut stream = TcpStream::connect(rig.native).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        Self { stream, decoder: Decoder::default() }
    }

    async fn log_in(rig: &Rig, uid: &str, token: &str) -> Self {
        let mut client = Self::hello(rig, uid, token).await;
        let answer = client.next().await;
        assert!(matches!(answer, Some(Frame::Welcome(_))), "{answer:?}");
        client
    }

    /// None: the connection has ended.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            // Some logins are greased with a frame that has no meaning.
            while let Some(raw) = self.decoder.next_frame(MAX_FRAME).unwrap() {
                if let Some(frame) = Frame::decode(raw).unwrap() {
                    return Some(frame);
                }
            }
            let mut bytes = BytesMut::with_capacity(4096);
            let read = timeout(SOON, self.stream.read_buf(&mut bytes)).await.expect("nobody waits for nothing");
            if read.unwrap_or(0) == 0 {
                return None;
            }
            self.decoder.feed(bytes);
        }
    }
}

#[tokio::test]
async fn a_committer_that_panics_ends_the_server_and_nobody_waits_for_it() {
    let rig = Rig::start().await;
    let (alice, bob) = (rig.token("alice").await, rig.token("bob").await);
    let mut alice = Client::log_in(&rig, "alice", &alice).await;
    assert_eq!(rig.ready().await, (200, "ready\n".into()));
    rig.engine.is_broken.store(true, Ordering::Relaxed);
    let mut bob = Client::hello(&rig, "bob", &bob).await;
    let answer = bob.next().await;
    assert!(matches!(&answer, Some(Frame::Reject(reject)) if reject.code == CloseCode::GOING_AWAY.0), "{answer:?}");
    assert_eq!(rig.ready().await, (503, "the committer has failed\n".into()));
    let mut last = None;
    while let Some(frame) = alice.next().await {
        last = Some(frame);
    }
    assert!(matches!(&last, Some(Frame::Close(_))), "{last:?}");
    let how = "panicked: the store is broken on purpose".to_owned();
    assert_eq!(rig.ended().await, Err(Death { task: "the committer", how }));
}

#[tokio::test]
async fn no_task_of_a_server_dies_in_silence() {
    let tasks = [
        "the alarms",
        "the poll of quiet sockets",
        "the native port",
        "the expiry of web devices",
        "the HTTP port",
        "the admin socket",
        "the count of hours",
        "the purge",
        "the telling of presence",
    ];
    for task in tasks {
        canary::plant(Some(task));
        let ended = Rig::start().await.ended().await;
        canary::plant(None);
        assert_eq!(ended, Err(Death { task, how: "panicked: planted".into() }));
    }
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_has_not_failed() {
    let rig = Rig::start().await;
    let Rig { stop, run, .. } = rig;
    stop.send(()).unwrap();
    assert_eq!(timeout(SOON, run).await.unwrap().unwrap(), Ok(()));
}

#[tokio::test]
async fn a_panic_in_a_connection_is_counted_and_ends_that_connection_alone() {
    let rig = Rig::start().await;
    let (alice, bob) = (rig.token("alice").await, rig.token("bob").await);
    let mut calm = Client::log_in(&rig, "alice", &alice).await;
    // What panics elsewhere in this process is said as before, and may be counted too.
    let (panics, said_before) = (rig.service.metrics().panics.clone(), panic::take_hook());
    let counted = panics.clone();
    panic::set_hook(Box::new(move |panic| {
        panics::on_panic(panic, &counted);
        said_before(panic);
    }));
    canary::plant(Some("connection-panics"));
    let mut unlucky = Client::hello(&rig, "bob", &bob).await;
    assert_eq!(unlucky.next().await, None);
    canary::plant(None);
    assert!(panics.get() >= 1);
    let mut ping = BytesMut::new();
    Frame::Ping(wire::Ping::default()).encode(&mut ping);
    calm.stream.write_all(&ping).await.unwrap();
    let answer = calm.next().await;
    assert!(matches!(answer, Some(Frame::Pong(_))), "{answer:?}");
    let _again = Client::log_in(&rig, "bob", &bob).await;
    assert_eq!(rig.ready().await, (200, "ready\n".into()));
    assert_eq!(rig.service.metrics().connections.get(), 2, "its place is free again");
}
