//! What a device does besides listening: send, ack, signal, ask.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use hongyan_proto::{
    CloseCode,
    wire::{self, request::Op, response},
};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Gateway,
    access::{Caller, Message, Params},
    devices::Present,
    json::to_value,
    origin::IDEMPOTENCY_KEY,
    problem::Problem,
};
use crate::dispatch::SendNumber;

/// How long an answer to a SEND may take. The message may be taken all the same; the sender finds out by sending it again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// `POST /v1/messages`: a SEND.
#[utoipa::path(post, path = "/v1/messages", tag = "writing", summary = "Send a message", params(("Idempotency-Key" = Option<String>, Header, description = "names the message: a repetition gets the same answer")), request_body(content = ref("#/components/schemas/Send"), content_type = "application/json"), responses((status = 200, description = "the message is durable", body = ref("#/components/schemas/SendAck")), (status = "default", description = "a problem", body = Problem, content_type = "application/problem+json")), security(("bearer" = []), ("cookie" = [])))]
pub async fn send(
    State(_): State<Arc<Gateway>>,
    Caller(device): Caller,
    headers: HeaderMap,
    Message(send): Message<wire::Send>,
) -> Result<Json<Value>, Problem> {
    let number = send_number(&headers, send.send_no)?;
    let sending = device.session().send(send, number);
    match tokio::time::timeout(ANSWER_TIMEOUT, sending).await {
        Ok(Some(Ok(ack))) => Ok(Json(to_value(&ack))),
        Ok(Some(Err(nack))) => Err(Problem::nack(nack)),
        Ok(None) | Err(_) => Err(match device.ended() {
            Some((code, reason)) => Problem::closed(code, reason),
            None => Problem::closed(CloseCode::UNAVAILABLE, "there is no answer yet: send the same again, to be told")
                .after(Duration::from_secs(1)),
        }),
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
#[utoipa::path(post, path = "/v1/ack", tag = "reading", summary = "Everything up to useq is stored", request_body(content = ref("#/components/schemas/Ack"), content_type = "application/json"), responses((status = 204, description = "done"), (status = "default", description = "a problem", body = Problem, content_type = "application/problem+json")), security(("bearer" = []), ("cookie" = [])))]
pub async fn ack(Caller(device): Caller, Message(ack): Message<wire::Ack>) -> Result<StatusCode, Problem> {
    acknowledge(&device, ack.useq)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The device has stored everything up to `useq`.
pub fn acknowledge(device: &Present, useq: u64) -> Result<(), Problem> {
    let head = device.session().channel().head();
    if useq > head {
        let detail = format!("entry {useq} cannot be acked, the log ends at {head}");
        return Err(Problem::closed(CloseCode::BAD_ACK, &detail));
    }
    device.acked(useq);
    Ok(())
}

/// `POST /v1/signal`: a SIGNAL. Nobody is told whether it arrived.
#[utoipa::path(post, path = "/v1/signal", tag = "writing", summary = "Pass something on to who is live", request_body(content = ref("#/components/schemas/Signal"), content_type = "application/json"), responses((status = 202, description = "done"), (status = "default", description = "a problem", body = Problem, content_type = "application/problem+json")), security(("bearer" = []), ("cookie" = [])))]
pub async fn signal(Caller(device): Caller, Message(signal): Message<wire::Signal>) -> StatusCode {
    device.session().signal(signal).await;
    StatusCode::ACCEPTED
}

/// `POST /v1/request`: any REQUEST that the native protocol has.
#[utoipa::path(post, path = "/v1/request", tag = "writing", summary = "Any request of the native protocol", request_body(content = ref("#/components/schemas/Request"), content_type = "application/json"), responses((status = 200, description = "done", body = ref("#/components/schemas/Response")), (status = "default", description = "a problem", body = Problem, content_type = "application/problem+json")), security(("bearer" = []), ("cookie" = [])))]
pub async fn request(Caller(device): Caller, Message(request): Message<wire::Request>) -> Result<Json<Value>, Problem> {
    let response = device.session().request(request).await;
    match response.result {
        Some(response::Result::Failure(failure)) => Err(Problem::failure(failure)),
        _ => Ok(Json(to_value(&response))),
    }
}

/// `GET /v1/account`
#[utoipa::path(get, path = "/v1/account", tag = "reading", summary = "The account and its devices", responses((status = 200, description = "done", body = ref("#/components/schemas/Account")), (status = "default", description = "a problem", body = Problem, content_type = "application/problem+json")), security(("bearer" = []), ("cookie" = [])))]
pub async fn account(Caller(device): Caller) -> Result<Json<Value>, Problem> {
    ask(&device, Op::Account(wire::AccountRequest::default())).await
}

#[derive(Deserialize, utoipa::IntoParams)]
pub struct ConversationsQuery {
    /// `next` of the page before.
    #[serde(default)]
    after: u64,
    /// 1 to 200; 50 if left out.
    #[serde(default)]
    limit: u32,
}

/// `GET /v1/conversations`
#[utoipa::path(get, path = "/v1/conversations", tag = "reading", summary = "The conversations", params(ConversationsQuery), responses((status = 200, description = "done", body = ref("#/components/schemas/ConversationsPage")), (status = "default", description = "a problem", body = Problem, content_type = "application/problem+json")), security(("bearer" = []), ("cookie" = [])))]
pub async fn conversations(
    Caller(device): Caller,
    Params(query): Params<ConversationsQuery>,
) -> Result<Json<Value>, Problem> {
    let ConversationsQuery { after, limit } = query;
    ask(&device, Op::Conversations(wire::ConversationsRequest { after, limit, ..Default::default() })).await
}

#[derive(Deserialize, utoipa::IntoParams)]
pub struct HistoryQuery {
    /// Only messages with a greater cseq.
    #[serde(default)]
    after: u64,
    /// Only messages with a smaller cseq; 0: no bound.
    #[serde(default)]
    before: u64,
    /// 1 to 200; 50 if left out.
    #[serde(default)]
    limit: u32,
    /// The oldest behind `after`; otherwise the newest below `before`.
    #[serde(default)]
    forward: bool,
}

/// `GET /v1/conversations/{conversation}/messages`
#[utoipa::path(get, path = "/v1/conversations/{conversation}/messages", tag = "reading", summary = "Messages of a conversation", params(("conversation" = String, Path), HistoryQuery), responses((status = 200, description = "done", body = ref("#/components/schemas/HistoryPage")), (status = "default", description = "a problem", body = Problem, content_type = "application/problem+json")), security(("bearer" = []), ("cookie" = [])))]
pub async fn history(
    Caller(device): Caller,
    Path(conversation): Path<String>,
    Params(query): Params<HistoryQuery>,
) -> Result<Json<Value>, Problem> {
    let HistoryQuery { after, before, limit, forward } = query;
    ask(&device, Op::History(wire::HistoryRequest { conversation, after, before, limit, forward, around: 0 })).await
}

/// The result alone, without what a RESPONSE has around it.
async fn ask(device: &Present, op: Op) -> Result<Json<Value>, Problem> {
    let response = device.session().request(wire::Request { id: 0, op: Some(op) }).await;
    if let Some(response::Result::Failure(failure)) = response.result {
        return Err(Problem::failure(failure));
    }
    let Value::Object(mut result) = to_value(&response) else { return Ok(Json(Value::Null)) };
    let result = result.values_mut().next().map(Value::take);
    Ok(Json(result.unwrap_or_default()))
}
