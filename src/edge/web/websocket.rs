//! `GET /v1/ws`: the native protocol over a WebSocket. The socket is made to look like a stream of bytes, so that the
//! same link drives it as any other transport.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::StatusCode,
    response::Response,
};
use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use hongyan_proto::CloseCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite;

use super::{
    access::Peer,
    gateway::Gateway,
    problem::Problem,
    subprotocol::{Binary, Form, Json, close_frame},
};
use crate::edge::native::link::Link;

/// Native frames in binary messages, cut anywhere.
const BINARY: &str = "hongyan.v1";
/// Each frame as one message of JSON.
const JSON: &str = "hongyan.v1.json";
/// What a socket reads at once, and keeps for as long as it lives.
const READ_BYTES: usize = 1024;

#[utoipa::path(get, path = "/v1/ws", tag = "reading", summary = "The native protocol over a WebSocket", params(("Sec-WebSocket-Protocol" = String, Header, description = "hongyan.v1 or hongyan.v1.json")), responses((status = 101, description = "a WebSocket")), security(()))]
pub async fn upgrade(
    State(gateway): State<Arc<Gateway>>,
    peer: Peer,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| {
        let status = match rejection {
            WebSocketUpgradeRejection::MethodNotGet(_) => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::UPGRADE_REQUIRED,
        };
        Problem::http(status, "NO_UPGRADE", rejection.body_text())
    })?;
    let upgrade = upgrade.protocols([BINARY, JSON]).read_buffer_size(READ_BYTES).write_buffer_size(0);
    let is_json = match upgrade.selected_protocol().map(|protocol| protocol.as_bytes()) {
        Some(protocol) => protocol == JSON.as_bytes(),
        None => {
            let detail = format!("Sec-WebSocket-Protocol: offer {BINARY} or {JSON}");
            return Err(Problem::http(StatusCode::BAD_REQUEST, "NO_SUBPROTOCOL", detail));
        }
    };
    let busy = || Problem::closed(CloseCode::OVERLOADED, "too many connections without a login, wait");
    let admission = gateway.strangers.admit(peer.address).ok_or_else(busy)?;
    let accepted_at = gateway.service.now();
    let max_message = gateway.service.limits().max_frame as usize * if is_json { 2 } else { 1 } + 4096;
    let upgrade = upgrade.max_message_size(max_message).max_frame_size(max_message);
    let link = gateway.links.token();
    Ok(upgrade.on_upgrade(move |socket| async move {
        let service = gateway.service.clone();
        let mut alarm = gateway.alarms.alarm();
        let alarm = Pin::new(&mut alarm);
        let ended = match is_json {
            true => {
                Link::new(Frames::new(socket, Json::default()), peer.address, service, admission, accepted_at)
                    .run(alarm)
                    .await
            }
            false => {
                Link::new(Frames::new(socket, Binary), peer.address, service, admission, accepted_at).run(alarm).await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a WebSocket failed");
        }
        drop((link, peer));
    }))
}

/// A WebSocket as a stream of native frames.
struct Frames<F> {
    socket: WebSocket,
    form: F,
    /// Received and not yet read.
    incoming: Bytes,
    /// The peer broke a rule of WebSockets or of the form: said before the end, then gone.
    farewell: Option<CloseFrame>,
    is_over: bool,
    is_closing: bool,
}

impl<F: Form> Frames<F> {
    fn new(socket: WebSocket, form: F) -> Self {
        Self { socket, form, incoming: Bytes::new(), farewell: None, is_over: false, is_closing: false }
    }

    /// Ready when there is something to read, or never will be.
    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.incoming.is_empty() && self.farewell.is_none() && !self.is_over {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(Message::Close(_))) | None => self.is_over = true,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => match self.form.read(message) {
                    Ok(bytes) => self.incoming = bytes,
                    Err(farewell) => self.farewell = Some(farewell),
                },
                Some(Err(error)) => self.farewell = farewell(error),
            }
            self.is_over |= self.farewell.is_some();
        }
        Poll::Ready(())
    }

    fn poll_farewell(&mut self, context: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        if self.farewell.is_some() {
            ready!(Pin::new(&mut self.socket).poll_ready(context))?;
            Pin::new(&mut self.socket).start_send(Message::Close(self.farewell.take()))?;
        }
        Pin::new(&mut self.socket).poll_flush(context)
    }
}

/// What is said to a peer that broke a rule. None: it is gone, or cannot be told any more.
fn farewell(error: axum::Error) -> Option<CloseFrame> {
    use tungstenite::Error;
    let inner = error.into_inner();
    let code = match inner.downcast_ref::<Error>()? {
        Error::Capacity(_) => close_code::SIZE,
        Error::Utf8(_) => close_code::INVALID,
        Error::Protocol(_) => close_code::PROTOCOL,
        _ => return None,
    };
    Some(close_frame(code, &inner.to_string()))
}

impl<F: Form> AsyncRead for Frames<F> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_incoming(context));
        if self.is_over {
            // Nothing more comes: an end of the stream, after which the link takes its time to close.
            let _ = ready!(self.poll_farewell(context));
            return Poll::Ready(Ok(()));
        }
        let taken = self.incoming.len().min(buf.remaining());
        buf.put_slice(&self.incoming[..taken]);
        self.incoming.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<F: Form> AsyncWrite for Frames<F> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(io::Error::other)?;
        let (message, taken) = self.form.write(buf);
        if let Some(message) = message {
            Pin::new(&mut self.socket).start_send(message).map_err(io::Error::other)?;
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context).map_err(io::Error::other)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_closing {
            self.is_closing = true;
            // Why, stands in the CLOSE before it.
            self.farewell = Some(close_frame(close_code::NORMAL, ""));
        }
        self.poll_farewell(context).map_err(io::Error::other)
    }
}
