//! What a device asks: each REQUEST of the protocol as a resource of its own, and any of them by one POST.

use axum::Json;
use hongyan_proto::wire::{self, Role, request::Op, response, status_request::Which};
use serde::Deserialize;
use serde_json::Value;

use super::{
    access::{Caller, Message, Params, Segments},
    json::to_value,
    problem::Problem,
};
use crate::session::Present;

/// `POST /v1/request`: any REQUEST that the native protocol has.
#[utoipa::path(post, path = "/v1/request", tag = "asking", summary = "Any request of the native protocol", request_body(content = ref("#/components/schemas/Request"), content_type = "application/json"), responses((status = 200, description = "done", body = ref("#/components/schemas/Response"))))]
pub async fn request(Caller(device): Caller, Message(request): Message<wire::Request>) -> Result<Json<Value>, Problem> {
    let response = device.session().request(request).await;
    match response.result {
        Some(response::Result::Failure(failure)) => Err(Problem::failure(failure)),
        _ => Ok(Json(to_value(&response))),
    }
}

/// `GET /v1/account`
#[utoipa::path(get, path = "/v1/account", tag = "asking", summary = "The account and its devices", responses((status = 200, description = "done", body = ref("#/components/schemas/Account"))))]
pub async fn account(Caller(device): Caller) -> Result<Json<Value>, Problem> {
    ask(&device, Op::Account(wire::AccountRequest::default())).await
}

/// Which page of a list.
#[derive(Deserialize, utoipa::IntoParams)]
pub struct PageQuery {
    /// `next` of the page before.
    #[serde(default)]
    after: u64,
    /// 1 to 200; 50 if left out.
    #[serde(default)]
    limit: u32,
}

/// `GET /v1/conversations`
#[utoipa::path(get, path = "/v1/conversations", tag = "asking", summary = "The conversations", params(PageQuery), responses((status = 200, description = "done", body = ref("#/components/schemas/ConversationsPage"))))]
pub async fn conversations(Caller(device): Caller, Params(query): Params<PageQuery>) -> Result<Json<Value>, Problem> {
    let PageQuery { after, limit } = query;
    ask(&device, Op::Conversations(wire::ConversationsRequest { after, limit, ..Default::default() })).await
}

/// `GET /v1/conversations/{conversation}`
#[utoipa::path(get, path = "/v1/conversations/{conversation}", tag = "asking", summary = "One conversation of the list", params(("conversation" = String, Path)), responses((status = 200, description = "done", body = ref("#/components/schemas/Conversation"))))]
pub async fn conversation(
    Caller(device): Caller,
    Segments(conversation): Segments<String>,
) -> Result<Json<Value>, Problem> {
    let op = Op::Conversations(wire::ConversationsRequest { conversation, ..Default::default() });
    match result(&device, op).await? {
        response::Result::Conversations(page) => match page.conversations.first() {
            Some(row) => Ok(Json(to_value(row))),
            None => Err(Problem::failure(wire::Failure {
                code: wire::FailureCode::FailureNotFound.into(),
                reason: "there is no such conversation in your list".into(),
            })),
        },
        other => Ok(Json(bare(other))),
    }
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
    /// Half of the page before this message, it, and half behind it. `after` and `before` do not count then.
    #[serde(default)]
    around: u64,
    /// These messages and no others: at most 100 numbers with commas between them.
    cseqs: Option<String>,
}

/// `GET /v1/conversations/{conversation}/messages`
#[utoipa::path(get, path = "/v1/conversations/{conversation}/messages", tag = "asking", summary = "Messages of a conversation: a page of them, or some by their numbers", params(("conversation" = String, Path), HistoryQuery), responses((status = 200, description = "done", body = ref("#/components/schemas/HistoryPage"))))]
pub async fn messages(
    Caller(device): Caller,
    Segments(conversation): Segments<String>,
    Params(query): Params<HistoryQuery>,
) -> Result<Json<Value>, Problem> {
    let HistoryQuery { after, before, limit, forward, around, cseqs } = query;
    let op = match cseqs {
        None => Op::History(wire::HistoryRequest { conversation, after, before, limit, forward, around }),
        Some(cseqs) => {
            let cseqs = cseqs.split(',').map(str::parse).collect::<Result<_, _>>();
            let cseqs = cseqs.map_err(|_| Problem::malformed("cseqs: numbers with commas between them, as in 3,7"))?;
            Op::Messages(wire::MessagesRequest { conversation, cseqs })
        }
    };
    ask(&device, op).await
}

/// `GET /v1/conversations/{conversation}/messages/{cseq}/status`
#[utoipa::path(get, path = "/v1/conversations/{conversation}/messages/{cseq}/status", tag = "asking", summary = "What became of a message of one's own: who has it, who has read it", params(("conversation" = String, Path), ("cseq" = u64, Path)), responses((status = 200, description = "done", body = ref("#/components/schemas/Status"))))]
pub async fn status(
    Caller(device): Caller,
    Segments((conversation, cseq)): Segments<(String, u64)>,
) -> Result<Json<Value>, Problem> {
    let which = Some(Which::Message(wire::MessageId { conversation, cseq }));
    ask(&device, Op::Status(wire::StatusRequest { which })).await
}

/// `GET /v1/messages/{sendNo}/status`
#[utoipa::path(get, path = "/v1/messages/{sendNo}/status", tag = "asking", summary = "The same of what this device sent under this number", params(("sendNo" = u64, Path)), responses((status = 200, description = "done", body = ref("#/components/schemas/Status"))))]
pub async fn sent_status(Caller(device): Caller, Segments(send_no): Segments<u64>) -> Result<Json<Value>, Problem> {
    ask(&device, Op::Status(wire::StatusRequest { which: Some(Which::SendNo(send_no)) })).await
}

/// `GET /v1/conversations/{conversation}/group`
#[utoipa::path(get, path = "/v1/conversations/{conversation}/group", tag = "asking", summary = "What a group is, for its members", params(("conversation" = String, Path)), responses((status = 200, description = "done", body = ref("#/components/schemas/Group"))))]
pub async fn group(Caller(device): Caller, Segments(group): Segments<String>) -> Result<Json<Value>, Problem> {
    ask(&device, Op::Group(wire::GroupRequest { group })).await
}

#[derive(Deserialize, utoipa::IntoParams)]
pub struct MembersQuery {
    /// `next` of the page before.
    #[serde(default)]
    after: u64,
    /// 1 to 200; 50 if left out.
    #[serde(default)]
    limit: u32,
    /// Only those of this role, such as ROLE_ADMIN; ROLE_PENDING and ROLE_BANNED for admins.
    role: Option<String>,
}

/// `GET /v1/conversations/{conversation}/members`
#[utoipa::path(get, path = "/v1/conversations/{conversation}/members", tag = "asking", summary = "Who is in a group", params(("conversation" = String, Path), MembersQuery), responses((status = 200, description = "done", body = ref("#/components/schemas/MembersPage"))))]
pub async fn members(
    Caller(device): Caller,
    Segments(group): Segments<String>,
    Params(query): Params<MembersQuery>,
) -> Result<Json<Value>, Problem> {
    let MembersQuery { after, limit, role } = query;
    let role = role.map_or(Some(Role::None), |role| Role::from_str_name(&role));
    let role = role.ok_or_else(|| Problem::malformed("role: a name of the protocol, such as ROLE_ADMIN"))?.into();
    ask(&device, Op::Members(wire::MembersRequest { group, after, limit, role })).await
}

/// `POST /v1/presence`
#[utoipa::path(post, path = "/v1/presence", tag = "asking", summary = "Who is online; from now on signals tell this device when it changes", request_body(content = ref("#/components/schemas/PresenceRequest"), content_type = "application/json"), responses((status = 200, description = "done", body = ref("#/components/schemas/PresenceList"))))]
pub async fn presence(
    Caller(device): Caller,
    Message(request): Message<wire::PresenceRequest>,
) -> Result<Json<Value>, Problem> {
    ask(&device, Op::Presence(request)).await
}

/// `GET /v1/contacts`
#[utoipa::path(get, path = "/v1/contacts", tag = "asking", summary = "Contacts, who asks to be one, and who is blocked", params(PageQuery), responses((status = 200, description = "done", body = ref("#/components/schemas/ContactsPage"))))]
pub async fn contacts(Caller(device): Caller, Params(query): Params<PageQuery>) -> Result<Json<Value>, Problem> {
    let PageQuery { after, limit } = query;
    ask(&device, Op::Contacts(wire::ContactsRequest { after, limit })).await
}

/// `GET /v1/privacy`
#[utoipa::path(get, path = "/v1/privacy", tag = "asking", summary = "Who may write, add to groups, and see when one is online", responses((status = 200, description = "done", body = ref("#/components/schemas/Privacy"))))]
pub async fn privacy(Caller(device): Caller) -> Result<Json<Value>, Problem> {
    ask(&device, Op::Privacy(wire::PrivacyRequest::default())).await
}

/// The result alone, without what a RESPONSE has around it.
async fn ask(device: &Present, op: Op) -> Result<Json<Value>, Problem> {
    Ok(Json(bare(result(device, op).await?)))
}

async fn result(device: &Present, op: Op) -> Result<response::Result, Problem> {
    match device.session().request(wire::Request { id: 0, op: Some(op) }).await.result {
        Some(response::Result::Failure(failure)) => Err(Problem::failure(failure)),
        Some(result) => Ok(result),
        None => Err(Problem::failure(wire::Failure::default())),
    }
}

fn bare(result: response::Result) -> Value {
    let response = to_value(&wire::Response { id: 0, result: Some(result) });
    let Value::Object(mut result) = response else { return Value::Null };
    result.values_mut().next().map(Value::take).unwrap_or_default()
}
