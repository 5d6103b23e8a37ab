//! Between a client and the server: carries bytes, counts connections, cuts them, and says a frame that the server did
//! not say.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use hongyan_proto::{
    BytesMut,
    codec::{Decoder, MAX_FRAME},
    frame::Frame,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// A TCP proxy on a port of its own.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    /// Each new value cuts all connections.
    cuts: watch::Sender<usize>,
}

#[derive(Default)]
struct Shared {
    accepted: AtomicUsize,
    open: AtomicUsize,
    /// The most connections that were open at once.
    most_open: AtomicUsize,
    /// Said to the client behind the next frame of the server, once.
    injection: Mutex<Option<BytesMut>>,
    /// What the server says is thrown away.
    is_mute: AtomicBool,
}

impl Proxy {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (cuts, cut) = watch::channel(0);
        tokio::spawn({
            let shared = shared.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(carry(client, server, shared.clone(), cut.clone()));
                }
            }
        });
        Self { address, shared, cuts }
    }

    /// Drops all connections.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// From now on what the server says is lost, or no longer.
    pub fn mute(&self, is_mute: bool) {
        self.shared.is_mute.store(is_mute, Ordering::SeqCst);
    }

    /// Has a frame said to the client as if by the server, behind the server's next frame.
    pub fn inject(&self, frame: &Frame) {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        *self.shared.injection.lock().unwrap() = Some(bytes);
    }

    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// The most connections that were open at once.
    pub fn most_open(&self) -> usize {
        self.shared.most_open.load(Ordering::SeqCst)
    }
}

async fn carry(client: TcpStream, server: SocketAddr, shared: Arc<Shared>, mut cut: watch::Receiver<usize>) {
    shared.accepted.fetch_add(1, Ordering::SeqCst);
    let Ok(server) = TcpStream::connect(server).await else { return };
    let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most_open.fetch_max(open, Ordering::SeqCst);
    let (from_client, to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    cut.mark_unchanged();
    tokio::select! {
        _ = cut.changed() => {}
        () = carry_up(from_client, to_server) => {}
        () = carry_down(&mut from_server, to_client, &shared) => {}
    }
    shared.open.fetch_sub(1, Ordering::SeqCst);
}

/// Carries what the client says; its end lets the server's last words still come down.
async fn carry_up(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    if tokio::io::copy(&mut from, &mut to).await.is_ok() && to.shutdown().await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Carries what the server says, frame by frame.
async fn carry_down(from: &mut OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut frames = Decoder::default();
    loop {
        let mut bytes = BytesMut::with_capacity(4096);
        if from.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        if shared.is_mute.load(Ordering::SeqCst) {
            continue;
        }
        if to.write_all(&bytes).await.is_err() {
            return;
        }
        frames.feed(bytes);
        while frames.next_frame(MAX_FRAME).unwrap().is_some() {}
        let injection = if frames.buffered() == 0 { shared.injection.lock().unwrap().take() } else { None };
        if let Some(injection) = injection
            && to.write_all(&injection).await.is_err()
        {
            return;
        }
    }
}
