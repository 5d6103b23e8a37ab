//! A server that reads nothing, and a client that does not come to write: what waits for them stays bounded.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use bytes::Bytes;
use hongyan_client::{Client, Direction, Events};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::yield_now,
    time::timeout,
};

use crate::fake::{Peer, Server, bob, settle, within};

/// Messages that leave as far as there is room; nothing else does, beyond it.
const WRITTEN_AHEAD: usize = 256 << 10;
/// What is written in one turn beyond that, and what the kernel holds of such a connection.
const SLACK: usize = 512 << 10;
const LARGE: usize = 32 << 10;

/// A client whose server reads nothing after the login, and the bytes that it has written by now, taken or not.
async fn unheard(server: &Server) -> (Client, Events, Peer, Arc<AtomicUsize>) {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let builder = server.client().grease(false).frame_trace(Arc::new(move |direction, bytes| {
        if direction == Direction::Out {
            count.fetch_add(bytes.len(), SeqCst);
        }
    }));
    let (client, events, mut peer) = server.connect(builder, 0).await;
    settle(&client, &mut peer).await;
    written.store(0, SeqCst);
    (client, events, peer, written)
}

/// Lets the client take that many turns. What it was asked before has been written by then, if it is to be.
async fn turns(client: &Client, count: usize) {
    for _ in 0..count {
        within("answer of the driver", client.status(1)).await;
    }
}

#[tokio::test]
async fn messages_that_a_server_does_not_read_stay_in_the_outbox() {
    let server = Server::narrow().await;
    let (client, _events, mut peer, written) = unheard(&server).await;
    for _ in 0..64 {
        client.enqueue(&bob(), Bytes::from(vec![7; LARGE])).await.unwrap();
    }
    turns(&client, 1).await;
    let ahead = written.load(SeqCst);
    assert!((WRITTEN_AHEAD..WRITTEN_AHEAD + SLACK).contains(&ahead), "{ahead}");
    for send_no in 1..=64 {
        assert_eq!(peer.send().await.send_no, send_no);
    }
}

#[tokio::test]
async fn signals_that_a_server_does_not_read_are_dropped() {
    let server = Server::narrow().await;
    let (client, _events, _peer, written) = unheard(&server).await;
    for _ in 0..2_000 {
        client.signal(bob(), Bytes::from_static(&[7; 1024])).await.unwrap();
    }
    turns(&client, 1).await;
    let ahead = written.load(SeqCst);
    assert!((WRITTEN_AHEAD..WRITTEN_AHEAD + SLACK).contains(&ahead), "{ahead}");
}

#[tokio::test]
async fn a_server_that_does_not_read_the_answers_is_not_read_any_more() {
    const PING: [u8; 4] = [0, 0, 1, 6];
    const ANSWERS: usize = 1 << 20;
    let server = Server::narrow().await;
    let (client, _events, peer, written) = unheard(&server).await;
    let (mut read, mut write) = peer.into_stream().into_split();
    let pings = PING.repeat(2 * ANSWERS / PING.len());
    let asking = tokio::spawn(async move { write.write_all(&pings).await.map(|()| write) });
    let full = async {
        while written.load(SeqCst) < ANSWERS {
            turns(&client, 1).await;
        }
    };
    within("answers", full).await;
    // In each of these it would read on, as likely as not.
    turns(&client, 500).await;
    let ahead = written.load(SeqCst);
    assert!(ahead < ANSWERS + SLACK, "{ahead}");
    let mut answers = vec![0; 2 * ANSWERS];
    within("rest of the answers", read.read_exact(&mut answers)).await.unwrap();
    assert!(answers.chunks(4).all(|answer| answer == [0, 0, 1, 7]));
    asking.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_wait_while_the_client_is_busy() {
    const COMMANDS: usize = 1024;
    const TAKEN_AT_ONCE: usize = 256;
    let server = Server::start().await;
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let is_held = Arc::new(AtomicBool::new(false));
    let holds = Arc::clone(&is_held);
    let builder = server.client().frame_trace(Arc::new(move |direction, _| {
        if direction == Direction::Out && holds.load(SeqCst) {
            let _ = released.lock().unwrap().recv();
        }
    }));
    let (client, _events, mut peer) = server.connect(builder, 0).await;
    settle(&client, &mut peer).await;
    is_held.store(true, SeqCst);
    let mut asked = 0;
    while timeout(Duration::ZERO, client.typing(bob())).await.is_ok() {
        asked += 1;
        assert!(asked <= COMMANDS + TAKEN_AT_ONCE, "nobody waits");
        yield_now().await;
    }
    assert!(asked >= COMMANDS, "{asked}");
    is_held.store(false, SeqCst);
    drop(release);
    within("room", client.typing(bob())).await.unwrap();
}
