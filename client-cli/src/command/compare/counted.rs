//! Connections whose bytes are counted at the socket, and HTTP on them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use hongyan_client::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::exit::Failure;

/// What has passed, both ways, and how many requests were made.
#[derive(Default)]
pub struct Tally {
    bytes: AtomicU64,
    requests: AtomicU64,
}

impl Tally {
    /// Bytes and requests so far.
    pub fn read(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.requests.load(Ordering::Relaxed))
    }
}

/// A TCP connection that counts.
pub struct Counted {
    stream: TcpStream,
    tally: Arc<Tally>,
}

impl Counted {
    pub async fn connect(address: &str, tally: &Arc<Tally>) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, tally: tally.clone() })
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buf);
        self.tally.bytes.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            self.tally.bytes.fetch_add(*written as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// One HTTP/1.1 connection of a device.
pub struct Http {
    sender: http1::SendRequest<Full<Bytes>>,
    address: String,
    tally: Arc<Tally>,
    pub token: Option<String>,
}

impl Http {
    pub async fn connect(address: &str, tally: &Arc<Tally>) -> Result<Self, Failure> {
        let stream = Counted::connect(address, tally).await.map_err(|error| unreachable(address, error))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(address, error))?;
        tokio::spawn(connection);
        Ok(Self { sender, address: address.to_owned(), tally: tally.clone(), token: None })
    }

    /// A GET, with headers of its own.
    pub async fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Result<Response<Incoming>, Failure> {
        self.send("GET", target, headers, Bytes::new()).await
    }

    /// A POST of JSON; the answer read as JSON.
    pub async fn post(&mut self, target: &str, body: &Value) -> Result<Value, Failure> {
        let body = Bytes::from(body.to_string());
        let response = self.send("POST", target, &[("content-type", "application/json")], body).await?;
        read_json(response).await
    }

    async fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder().method(method).uri(target).header(header::HOST, &self.address);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|error| Failure::local("a request", error))?;
        self.tally.requests.fetch_add(1, Ordering::Relaxed);
        self.sender.ready().await.map_err(|error| unreachable(&self.address, error))?;
        self.sender.send_request(request).await.map_err(|error| unreachable(&self.address, error))
    }
}

/// The whole body, as JSON; nothing for an empty one.
pub async fn read_json(response: Response<Incoming>) -> Result<Value, Failure> {
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| unreachable("the server", error))?.to_bytes();
    if status.is_client_error() || status.is_server_error() {
        let problem = String::from_utf8_lossy(&body).into_owned();
        return Err(Failure::new(crate::exit::Exit::Refused, format!("HTTP {status}: {problem}")));
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body).map_err(|error| Failure::local("the server's answer", error))
}

pub fn unreachable(address: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(crate::exit::Exit::Unreachable, format!("{address}: {error}"))
}
