//! Devices come and go: login, resume, logout, registration, tickets.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hongyan_proto::{CloseCode, Uid, wire};
use serde_json::{Value, json};

use super::{
    access::{COOKIE, Caller, Message, Peer, token_of},
    gateway::Gateway,
    json::{from_value, to_value},
    problem::Problem,
};
use crate::{
    edge::port::headcount::Admission,
    ops::answer::AccountError,
    session::{CameBack, LoggedIn, RegisterError},
};

/// What a device that leaves the numbers of its messages to the server says of them: it remembers none that the server
/// has not answered.
const SERVER_NUMBERS: u64 = 1 << 62;
/// The device epoch of a device that keeps no numbers of its own, and so cannot lose them.
const NO_STATE: u32 = 1;

/// `POST /v1/login`: a HELLO.
#[utoipa::path(post, path = "/v1/login", tag = "devices", summary = "Log a device in", request_body(content = ref("#/components/schemas/Login"), content_type = "application/json"), responses((status = 200, description = "the device is present", body = ref("#/components/schemas/LoggedIn"))), security(()))]
pub async fn log_in(
    State(gateway): State<Arc<Gateway>>,
    peer: Peer,
    headers: HeaderMap,
    Message(mut body): Message<Value>,
) -> Result<Response, Problem> {
    let wants_cookie = take_cookie_wish(&mut body)?;
    let numbers_itself = body.get("lastSendNo").is_some();
    let mut hello: wire::Hello = from_value(body).map_err(Problem::malformed)?;
    if hello.device_epoch == 0 {
        hello.device_epoch = NO_STATE;
    }
    if !numbers_itself {
        hello.last_send_no = SERVER_NUMBERS;
    }
    let _admission = admit(&gateway, &peer)?;
    gateway.devices.check_room()?;
    let login = gateway.service.hello(hello, &gateway.attempt(peer.address)).await?;
    Ok(logged_in(&gateway, login, wants_cookie.then(|| is_secure(&peer, &headers))))
}

/// `POST /v1/resume`: a RESUME, which exchanges the token for a new one.
#[utoipa::path(post, path = "/v1/resume", tag = "devices", summary = "Exchange the token for a new one", request_body(content = ref("#/components/schemas/ResumeRequest"), content_type = "application/json"), responses((status = 200, description = "the device is present", body = ref("#/components/schemas/LoggedIn"))))]
pub async fn resume(
    State(gateway): State<Arc<Gateway>>,
    peer: Peer,
    headers: HeaderMap,
    Message(mut body): Message<Value>,
) -> Result<Response, Problem> {
    let wants_cookie = take_cookie_wish(&mut body)?;
    let mut resume: wire::Resume = from_value(body).map_err(Problem::malformed)?;
    if let Some(token) = token_of(&headers)? {
        resume.resume_token = token;
    }
    let _admission = admit(&gateway, &peer)?;
    gateway.devices.check_room()?;
    // A device that has more than its token logs in by POST /v1/login.
    resume.fallback = None;
    let CameBack { login, .. } = gateway.service.resume(resume, &gateway.attempt(peer.address)).await?;
    Ok(logged_in(&gateway, login, wants_cookie.then(|| is_secure(&peer, &headers))))
}

/// `POST /v1/logout`: the token is void from now on.
#[utoipa::path(post, path = "/v1/logout", tag = "devices", summary = "End the session; the token is void", responses((status = 204, description = "done")))]
pub async fn log_out(State(gateway): State<Arc<Gateway>>, Caller(device): Caller) -> Result<Response, Problem> {
    device.session().log_out().await.map_err(account_problem)?;
    device.session().close(CloseCode::NORMAL, "the device has logged out");
    gateway.devices.remove(&device);
    let expired = format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/v1; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, expired)]).into_response())
}

#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct RegistrationPolicy {
    /// Whether anybody may make an account.
    open: bool,
}

/// `GET /v1/register`: whether the next one would be of any use.
#[utoipa::path(get, path = "/v1/register", tag = "devices", summary = "Whether anybody may make an account", security(()), responses((status = 200, description = "done", body = RegistrationPolicy)))]
pub async fn registration(State(gateway): State<Arc<Gateway>>) -> Json<RegistrationPolicy> {
    Json(RegistrationPolicy { open: gateway.config.registration })
}

#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// 1 to 64 of the characters A-Z a-z 0-9 . _ @ -
    uid: String,
    /// 8 to 1,024 bytes.
    password: String,
}

/// `POST /v1/register`: a new account, where the configuration allows it.
#[utoipa::path(post, path = "/v1/register", tag = "devices", summary = "Make an account, where the configuration allows it", request_body(content = ref("#/components/schemas/Registration"), content_type = "application/json"), responses((status = 201, description = "done")), security(()))]
pub async fn register(
    State(gateway): State<Arc<Gateway>>,
    peer: Peer,
    Message(body): Message<Registration>,
) -> Result<Response, Problem> {
    if !gateway.config.registration {
        let detail = "accounts are made by the operator of this server";
        return Err(Problem::http(StatusCode::FORBIDDEN, "REGISTRATION_OFF", detail));
    }
    let _admission = admit(&gateway, &peer)?;
    let uid = Uid::new(&body.uid)
        .map_err(|_| Problem::closed(CloseCode::BAD_FIELD, "uid: use 1 to 64 of the characters A-Z a-z 0-9 . _ @ -"))?;
    match gateway.service.register(&uid, body.password, &gateway.attempt(peer.address)).await {
        Ok(()) => Ok((StatusCode::CREATED, Json(json!({ "uid": uid.as_str() }))).into_response()),
        Err(RegisterError::TooMany(rejection)) => Err(rejection.into()),
        Err(RegisterError::Account(error)) => Err(account_problem(error)),
        Err(RegisterError::Busy) => {
            Err(Problem::closed(CloseCode::OVERLOADED, "too many passwords are being checked, wait"))
        }
        Err(RegisterError::BadPassword(error)) => Err(Problem::closed(CloseCode::BAD_FIELD, &error.to_string())),
        Err(RegisterError::Hashing(error)) => {
            tracing::error!(%error, "a password could not be hashed");
            Err(Problem::closed(CloseCode::INTERNAL, "the password could not be stored"))
        }
    }
}

/// `POST /v1/ticket`: opens one stream in place of the token, for what can send no header.
#[utoipa::path(post, path = "/v1/ticket", tag = "devices", summary = "A ticket that opens one stream", responses((status = 200, description = "the ticket", body = ref("#/components/schemas/Ticket"))))]
pub async fn ticket(State(gateway): State<Arc<Gateway>>, Caller(device): Caller) -> Result<Json<Value>, Problem> {
    let ttl = gateway.config.ticket_ttl;
    let ticket = gateway.devices.issue_ticket(&device, ttl)?;
    let ticket = BASE64_URL_SAFE_NO_PAD.encode(ticket);
    Ok(Json(json!({ "ticket": ticket, "expiresInMs": ttl.as_millis() as u64 })))
}

fn account_problem(error: AccountError) -> Problem {
    match error {
        AccountError::Exists(uid) => {
            Problem::http(StatusCode::CONFLICT, "UID_TAKEN", format!("there is a user {uid} already: take another uid"))
        }
        AccountError::Unknown(_) => Problem::closed(CloseCode::REVOKED, "this user is no more"),
        AccountError::Full(_) => {
            Problem::closed(CloseCode::OVERLOADED, "this server has as many users as its operator allows")
        }
        AccountError::Stopping => Problem::closed(CloseCode::GOING_AWAY, "the server is stopping"),
        AccountError::Unavailable(error) => {
            tracing::error!(%error, "an account could not be changed");
            Problem::closed(CloseCode::UNAVAILABLE, "the store takes no writes now")
        }
    }
}

fn take_cookie_wish(body: &mut Value) -> Result<bool, Problem> {
    match body.as_object_mut().and_then(|body| body.remove("cookie")) {
        None => Ok(false),
        Some(Value::Bool(wish)) => Ok(wish),
        Some(_) => Err(Problem::malformed("cookie: true or false")),
    }
}

/// Whether the browser came by HTTPS, to this server or to a proxy before it.
fn is_secure(peer: &Peer, headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    peer.is_tls || origin.is_some_and(|origin| origin.starts_with(b"https://"))
}

/// A place among those who have not proved yet who they are.
fn admit(gateway: &Gateway, peer: &Peer) -> Result<Admission, Problem> {
    let busy = || Problem::closed(CloseCode::OVERLOADED, "too many logins at once from here, wait");
    gateway.strangers.admit(peer.address).ok_or_else(busy)
}

/// The answer to a login. `cookie`: the token goes into a cookie, a secure one or not, and is not shown to the page.
fn logged_in(gateway: &Gateway, login: LoggedIn, cookie: Option<bool>) -> Response {
    let reset = login.reset;
    let mut welcome = gateway.service.welcome(&login);
    welcome.limits = Some(*gateway.service.limits());
    welcome.cursor = reset.map_or(login.cursor, |reset| reset.head);
    let token = BASE64_URL_SAFE_NO_PAD.encode(std::mem::take(&mut welcome.resume_token));
    gateway.devices.insert(login);
    let mut body = to_value(&welcome);
    if let Some(reset) = reset {
        body["syncReset"] = to_value(&reset);
    }
    let no_store = (header::CACHE_CONTROL, "no-store");
    match cookie {
        None => {
            body["token"] = token.into();
            ([no_store], Json(body)).into_response()
        }
        Some(is_secure) => {
            let secure = if is_secure { "; Secure" } else { "" };
            let age = gateway.service.resume_ttl().as_secs();
            let cookie = format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/v1; Max-Age={age}{secure}");
            ([no_store], [(header::SET_COOKIE, cookie)], Json(body)).into_response()
        }
    }
}
