//! What a device does besides listening: send, ack, signal. What it asks is in `requests`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use hongyan_proto::{CloseCode, wire};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::{
    access::{Caller, Message},
    gateway::Gateway,
    json::to_value,
    origin::IDEMPOTENCY_KEY,
    problem::Problem,
};
use crate::{ops::id::SendNumber, session::Present};

/// How long an answer to a SEND may take. The message may be taken all the same; the sender finds out by sending it again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// `POST /v1/messages`: a SEND, of a message or an act.
#[utoipa::path(post, path = "/v1/messages", tag = "writing", summary = "Send a message, or do an act", params(("Idempotency-Key" = Option<String>, Header, description = "names the message: a repetition gets the same answer")), request_body(content = ref("#/components/schemas/Send"), content_type = "application/json"), responses((status = 200, description = "the message or act is durable", body = ref("#/components/schemas/SendAck"))))]
pub async fn send(
    State(_): State<Arc<Gateway>>,
    Caller(device): Caller,
    headers: HeaderMap,
    Message(send): Message<wire::Send>,
) -> Result<Json<Value>, Problem> {
    let number = send_number(&headers, send.send_no)?;
    let sending = device.session().send(send, number);
    let ended_or = |otherwise: Problem| match device.ended() {
        Some((code, reason)) => Problem::closed(code, &reason),
        None => otherwise,
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, sending).await {
        Ok(Some(Ok(ack))) => Ok(Json(to_value(&ack))),
        Ok(Some(Err(nack))) => Err(Problem::nack(nack)),
        Ok(None) => {
            let replaced = "the same device has connected again since";
            Err(ended_or(Problem::closed(CloseCode::REPLACED, replaced)))
        }
        Err(_) => {
            let late = "there is no answer yet: send the same again, to be told";
            Err(ended_or(Problem::closed(CloseCode::UNAVAILABLE, late).after(Duration::from_secs(1))))
        }
    }
}

/// How a message is told from the device's other ones: by its own number, by a key, or not at all.
fn send_number(headers: &HeaderMap, send_no: u64) -> Result<SendNumber, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(if send_no == 0 { SendNumber::Next } else { SendNumber::Given(send_no) });
    };
    let is_key = key.to_str().is_ok_and(|key| (1..=255).contains(&key.len()));
    if !is_key || send_no != 0 {
        return Err(Problem::malformed("Idempotency-Key: 1 to 255 visible ASCII characters, and no sendNo beside it"));
    }
    let hash = digest(&SHA256, key.as_bytes());
    let (key, _) = hash.as_ref().split_first_chunk().expect("SHA-256 has 32 bytes");
    Ok(SendNumber::Keyed(u64::from_be_bytes(*key).max(1)))
}

/// `POST /v1/ack`: an ACK.
#[utoipa::path(post, path = "/v1/ack", tag = "reading", summary = "Everything up to useq is stored", request_body(content = ref("#/components/schemas/Ack"), content_type = "application/json"), responses((status = 204, description = "done")))]
pub async fn ack(Caller(device): Caller, Message(ack): Message<wire::Ack>) -> Result<StatusCode, Problem> {
    acknowledge(&device, ack.useq)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The device has stored everything up to `useq`.
pub fn acknowledge(device: &Present, useq: u64) -> Result<(), Problem> {
    let head = device.session().head();
    if useq > head {
        let detail = format!("entry {useq} cannot be acked, the log ends at {head}");
        return Err(Problem::closed(CloseCode::BAD_ACK, &detail));
    }
    device.acked(useq);
    Ok(())
}

/// `POST /v1/signal`: a SIGNAL. Nobody is told whether it arrived.
#[utoipa::path(post, path = "/v1/signal", tag = "writing", summary = "Pass something on to who is live", request_body(content = ref("#/components/schemas/Signal"), content_type = "application/json"), responses((status = 202, description = "done")))]
pub async fn signal(Caller(device): Caller, Message(signal): Message<wire::Signal>) -> StatusCode {
    device.session().signal(signal).await;
    StatusCode::ACCEPTED
}
