//! Event streams: SSE, lines of JSON, and the hidden iframe. Each event is a frame as in the WebSocket's JSON.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::stream;
use hongyan_proto::{CloseCode, frame::Frame, wire};

use super::{
    feed::{Feed, Next},
    json::to_text,
};
use crate::base::environment;

/// How long a browser waits before it opens a broken stream again: at least, and at random so much more.
const RETRY_MS: (u64, u64) = (1000, 2000);
/// The same where the stream has ended for good.
const RETRY_NEVER_MS: u64 = 86_400_000;

/// How an event is written.
pub enum Format {
    Sse,
    Ndjson,
    /// A page that never ends. Its scripts have a nonce, so that nothing else in it is run.
    Iframe {
        nonce: String,
        /// No browser tells a page that a frame has broken off: the stream says when it will be heard of again.
        ping: Box<Frame>,
    },
}

impl Format {
    pub fn iframe(heartbeat: Duration) -> Self {
        let ping = Frame::Ping(wire::Ping { next_ms: heartbeat.as_millis() as u32, ack: 0 });
        Format::Iframe { nonce: BASE64_URL_SAFE_NO_PAD.encode(environment::random::<16>()), ping: Box::new(ping) }
    }

    fn content_type(&self) -> &'static str {
        match self {
            Format::Sse => "text/event-stream",
            Format::Ndjson => "application/x-ndjson",
            Format::Iframe { .. } => "text/html; charset=utf-8",
        }
    }

    fn prelude(&self) -> String {
        match self {
            Format::Sse => {
                let [random] = environment::random();
                format!("retry: {}\n\n", RETRY_MS.0 + RETRY_MS.1 * u64::from(random) / 256)
            }
            Format::Ndjson => String::new(),
            Format::Iframe { nonce, ping } => format!(
                "<!doctype html><meta charset=\"utf-8\"><title>events</title><script nonce=\"{nonce}\">\
                 const hongyan = (event) => parent.postMessage(event, location.origin); hongyan({})</script>\n",
                to_text(ping)
            ),
        }
    }

    fn heartbeat(&self) -> String {
        match self {
            Format::Sse => ":\n\n".to_owned(),
            Format::Ndjson => "\n".to_owned(),
            Format::Iframe { ping, .. } => {
                let mut out = String::new();
                self.event(None, ping, &mut out);
                out
            }
        }
    }

    /// `id`: the place in the log, for what has one.
    fn event(&self, id: Option<&str>, frame: &Frame, out: &mut String) {
        let json = to_text(frame);
        match self {
            Format::Sse => {
                if let Some(id) = id {
                    out.extend(["id: ", id, "\n"]);
                }
                out.extend(["data: ", &json, "\n\n"]);
            }
            Format::Ndjson => out.extend([&json, "\n"]),
            Format::Iframe { nonce, .. } => {
                let script = escape_for_script(&json);
                out.extend(["<script nonce=\"", nonce, "\">hongyan(", &script, ")</script>\n"]);
            }
        }
    }
}

/// JSON that neither ends the script it stands in nor is anything else to HTML. The characters stand only in strings.
fn escape_for_script(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

struct Streaming {
    feed: Feed,
    format: Format,
    heartbeat: Duration,
    is_over: bool,
}

/// The endless answer. It produces nothing that its reader has not made room for.
pub fn respond(feed: Feed, format: Format, heartbeat: Duration) -> Response {
    let content_type = HeaderValue::from_static(format.content_type());
    let policy = match &format {
        Format::Iframe { nonce, .. } => format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        ),
        _ => "default-src 'none'".to_owned(),
    };
    let prelude = Bytes::from(format.prelude());
    let streaming = Streaming { feed, format, heartbeat, is_over: false };
    let chunks = stream::unfold((streaming, Some(prelude)), |(mut streaming, prelude)| async move {
        let chunk = match prelude.filter(|prelude| !prelude.is_empty()) {
            Some(prelude) => prelude,
            None => streaming.next_chunk().await?,
        };
        Some((Ok::<_, Infallible>(chunk), (streaming, None)))
    });
    let mut response = Body::from_stream(chunks).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that gathers the stream would keep its events from arriving.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

impl Streaming {
    /// None: the stream is over.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let Ok(next) = tokio::time::timeout(self.heartbeat, self.feed.next()).await else {
            return Some(self.format.heartbeat().into());
        };
        let mut out = String::new();
        match next {
            Next::Entries(entries) => {
                for entry in entries {
                    let id = self.feed.behind(entry.useq).to_string();
                    self.format.event(Some(&id), &Frame::Push(entry), &mut out);
                }
            }
            Next::Passed(passed) => {
                for entry in passed {
                    self.format.event(None, &Frame::Push(entry), &mut out);
                }
            }
            Next::Signal(signal) => self.format.event(None, &Frame::Signal(signal), &mut out),
            Next::Reset(reset) => {
                let id = self.feed.behind(reset.head).to_string();
                self.format.event(Some(&id), &Frame::SyncReset(reset), &mut out);
            }
            Next::GoAway(go_away) => {
                self.is_over = true;
                self.format.event(None, &Frame::GoAway(go_away), &mut out);
            }
            over @ (Next::Closed(..) | Next::Superseded) => {
                self.is_over = true;
                if matches!((&self.format, &over), (Format::Sse, Next::Superseded)) {
                    out.push_str(&format!("retry: {RETRY_NEVER_MS}\n\n"));
                }
                if let Some(close) = farewell(over) {
                    self.format.event(None, &Frame::Close(close), &mut out);
                }
            }
        }
        Some(out.into())
    }
}

/// What a stream says last.
fn farewell(next: Next) -> Option<wire::Close> {
    let (code, reason) = match next {
        Next::Closed(code, reason) => (code, reason),
        Next::Superseded => (CloseCode::REPLACED, "another request of this device reads its events now"),
        _ => return None,
    };
    Some(wire::Close { code: code.0, reason: reason.into(), retry_after_ms: 0 })
}

#[cfg(test)]
mod tests {
    use hongyan_proto::wire::{self, Content, content::Kind, entry::Item};
    use prost::Message;

    use super::*;

    fn push(text: &str) -> Frame {
        let content = Content { kind: Some(Kind::Text(text.into())) }.encode_to_vec().into();
        let message = wire::Message { from: "alice".into(), to: "bob".into(), content, ..Default::default() };
        Frame::Push(wire::Entry { useq: 5, own_send_no: 0, item: Some(Item::Message(message)) })
    }

    #[test]
    fn a_text_ends_neither_its_event_nor_its_script() {
        let evil = "a\n\ndata: b\r</script><script>alert(1)</script>\u{2028}&amp;<!--";
        let mut sse = String::new();
        Format::Sse.event(Some("7-5"), &push(evil), &mut sse);
        assert_eq!(sse.matches('\n').count(), 3, "{sse}");
        assert!(sse.starts_with("id: 7-5\ndata: {\"push\":") && !sse.contains('\r'));
        let mut page = String::new();
        Format::iframe(Duration::from_secs(1)).event(None, &push(evil), &mut page);
        assert!(page.starts_with("<script nonce=\""));
        let (_, json) = page.split_once("\">hongyan(").unwrap();
        let json = json.strip_suffix(")</script>\n").unwrap();
        assert!(!json.contains(['<', '>', '&', '\u{2028}']), "{json}");
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(value["push"]["message"]["text"], evil);
    }
}
