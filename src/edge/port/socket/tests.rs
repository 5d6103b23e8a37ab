//! Who watches a socket, and who is woken when, over real sockets.

use std::net::{Ipv4Addr, TcpListener};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc::unbounded_channel,
};

use super::*;

/// What watches.
fn watched() -> (Arc<QuietSockets>, CancellationToken) {
    let (sockets, poll) = QuietSockets::new().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(sockets.clone().run(poll, stop.clone()));
    (sockets, stop)
}

/// A socket and its peer.
fn pair(sockets: &Arc<QuietSockets>) -> (Socket, StdTcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let peer = StdTcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let stream = listener.accept().unwrap().0;
    stream.set_nonblocking(true).unwrap();
    (Socket::new(stream, sockets.clone()).unwrap(), peer)
}

/// A watched socket, its peer, and what watches.
async fn connected() -> (Socket, TcpStream, Arc<QuietSockets>, CancellationToken) {
    let (sockets, stop) = watched();
    let (socket, peer) = pair(&sockets);
    peer.set_nonblocking(true).unwrap();
    (socket, TcpStream::from_std(peer).unwrap(), sockets, stop)
}

/// The peer writes a byte, and the socket's task, which waits already, reads it and answers.
async fn exchange(socket: &mut Socket, peer: &mut TcpStream, byte: u8) {
    let mut read = [0];
    let arrives = async {
        tokio::task::yield_now().await;
        peer.write_all(&[byte]).await.unwrap();
    };
    tokio::join!(socket.read_exact(&mut read), arrives).0.unwrap();
    assert_eq!(read, [byte]);
    socket.write_all(&read).await.unwrap();
    peer.read_exact(&mut read).await.unwrap();
    assert_eq!(read, [byte]);
}

#[tokio::test(start_paused = true)]
async fn it_is_watched_by_the_runtime_only_while_much_happens() {
    let (mut socket, mut peer, sockets, _stop) = connected().await;
    exchange(&mut socket, &mut peer, 1).await;
    assert!(matches!(socket.state, State::Quiet(_)));
    for byte in 0..BUSY_READS as u8 {
        exchange(&mut socket, &mut peer, byte).await;
    }
    assert!(matches!(socket.state, State::Busy(_)));
    assert!(sockets.lock().is_empty());
    tokio::time::advance(Duration::from_secs(u64::from(PAUSE_S) + 1)).await;
    exchange(&mut socket, &mut peer, 2).await;
    assert!(matches!(socket.state, State::Quiet(_)));
    exchange(&mut socket, &mut peer, 3).await;
    drop(peer);
    assert_eq!(socket.read(&mut [0]).await.unwrap(), 0, "the end is seen too");
    drop(socket);
    assert!(sockets.lock().is_empty(), "nothing is kept of what is closed");
}

#[tokio::test]
async fn the_end_is_seen_behind_the_last_bytes() {
    let (mut socket, mut peer, sockets, _stop) = connected().await;
    peer.write_all(&[1]).await.unwrap();
    peer.shutdown().await.unwrap();
    while !sockets.lock()[0].ended {
        tokio::task::yield_now().await;
    }
    let mut read = [0; 2];
    assert_eq!(socket.read(&mut read).await.unwrap(), 1);
    assert_eq!(socket.read(&mut read).await.unwrap(), 0, "the poll does not say it again");
}

#[tokio::test]
async fn a_writer_waits_for_its_peer() {
    let (mut socket, mut peer, _, _stop) = connected().await;
    let bytes = vec![7; 16 << 20];
    let writes = async {
        socket.write_all(&bytes).await.unwrap();
        socket.shutdown().await.unwrap();
    };
    let mut read = Vec::new();
    let (_, read_len) = tokio::join!(writes, peer.read_to_end(&mut read));
    assert_eq!(read_len.unwrap(), bytes.len());
}

#[tokio::test]
async fn who_talks_does_not_wait_until_all_who_were_cut_off_are_gone() {
    const CUT_OFF: usize = 20 * LEAVING_AT_ONCE;
    let (sockets, _stop) = watched();
    let (woken, mut order) = unbounded_channel();
    let wait = || {
        let ((mut socket, peer), woken) = (pair(&sockets), woken.clone());
        tokio::spawn(async move { woken.send(socket.read(&mut [0]).await.unwrap()) });
        peer
    };
    let cut_off: Vec<_> = (0..CUT_OFF).map(|_| wait()).collect();
    let mut talks = wait();
    while sockets.lock().iter().any(|(_, bell)| bell.waiting.is_none()) {
        tokio::task::yield_now().await;
    }
    // All in the poll before it is asked.
    drop(cut_off);
    talks.write_all(&[1]).unwrap();
    let mut gone = 0;
    while order.recv().await == Some(0) {
        gone += 1;
    }
    assert!(gone < CUT_OFF / 2, "{gone} of {CUT_OFF} were gone before");
    while gone < CUT_OFF {
        assert_eq!(order.recv().await, Some(0), "they are woken too");
        gone += 1;
    }
}
