//! Who asks: the device behind a bearer token, a cookie or a ticket; and what a request's body and parameters are.

use std::{any::Any, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    forwarded::{self, Visitor},
    gateway::Gateway,
    json,
    problem::Problem,
};
use crate::{edge::port::proxies::Proxies, session::Present};

/// The cookie that holds a token for pages that asked for one.
pub const COOKIE: &str = "hongyan";
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The other end: of a connection, or of one request that came over it.
#[derive(Clone)]
pub struct Peer {
    /// Of the person, where a trusted proxy is in front.
    pub address: IpAddr,
    pub is_tls: bool,
    /// Kept for as long as the connection is open, also when it has become a WebSocket.
    _kept: Arc<dyn Any + Send + Sync>,
}

impl Peer {
    /// `kept`: what a connection holds while it is open, its place for one.
    pub fn new(address: IpAddr, kept: impl Any + Send + Sync) -> Self {
        Self { address, is_tls: false, _kept: Arc::new(kept) }
    }

    /// The same, now that the connection speaks TLS.
    pub fn over_tls(self) -> Self {
        Self { is_tls: true, ..self }
    }

    /// Who has made a request with these fields, if proxies say so in them.
    pub fn of_request(&self, headers: &HeaderMap, proxies: &Proxies) -> Self {
        let Visitor { address, is_tls } = forwarded::visitor(headers, self.address, proxies);
        Self { address, is_tls: is_tls.unwrap_or(self.is_tls), _kept: self._kept.clone() }
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().cloned();
        peer.ok_or_else(|| Problem::http(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "the connection is unknown"))
    }
}

/// The device that a request speaks for, by its token or the browser's cookie.
pub struct Caller(pub Present);

impl FromRequestParts<Arc<Gateway>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let peer = Peer::from_request_parts(parts, gateway).await?;
        let token = token_of(&parts.headers)?.ok_or_else(no_token)?;
        Ok(Caller(gateway.devices.find(&token, || gateway.attempt(peer.address)).await?))
    }
}

/// The same, or by a ticket in the URL, for what opens a stream and can send no header.
pub struct StreamCaller(pub Present);

impl FromRequestParts<Arc<Gateway>> for StreamCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        #[derive(serde::Deserialize)]
        struct Ticket {
            ticket: Option<String>,
        }
        let peer = Peer::from_request_parts(parts, gateway).await?;
        let Params(Ticket { ticket }) = Params::from_request_parts(parts, gateway).await?;
        let token = match (ticket, token_of(&parts.headers)?) {
            (Some(ticket), None) => {
                gateway.devices.redeem(&BASE64_URL_SAFE_NO_PAD.decode(ticket).unwrap_or_default())?
            }
            (_, Some(token)) => token,
            (None, None) => return Err(no_token()),
        };
        Ok(StreamCaller(gateway.devices.find(&token, || gateway.attempt(peer.address)).await?))
    }
}

/// The token in the headers, if there is one.
pub fn token_of(headers: &HeaderMap) -> Result<Option<Bytes>, Problem> {
    let text = match headers.get(header::AUTHORIZATION) {
        Some(value) => {
            let token = value.to_str().ok().and_then(|value| value.split_once(' '));
            let (_, token) = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).ok_or_else(bad_token)?;
            token.trim()
        }
        None => match cookie(headers) {
            Some(token) => token,
            None => return Ok(None),
        },
    };
    match BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')) {
        Ok(token) if !token.is_empty() => Ok(Some(token.into())),
        _ => Err(bad_token()),
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, token)| token)
}

fn no_token() -> Problem {
    let detail = "log in with POST /v1/login and send what it answers as `Authorization: Bearer TOKEN`";
    Problem::http(StatusCode::UNAUTHORIZED, "NO_TOKEN", detail)
}

fn bad_token() -> Problem {
    let detail = "the Authorization header is not `Bearer` and a token of this server";
    Problem::http(StatusCode::UNAUTHORIZED, "BAD_TOKEN", detail)
}

/// The parameters in the URL.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Params(params)),
            Err(error) => Err(Problem::malformed(error.body_text())),
        }
    }
}

/// What stands in the path.
pub struct Segments<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(error) => Err(Problem::malformed(error.body_text())),
        }
    }
}

/// A JSON body, read as one of the protocol's messages.
pub struct Message<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Gateway>> for Message<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if kind != "application/json" {
            let detail = "the body has to be JSON: send `Content-Type: application/json`";
            return Err(Problem::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "NOT_JSON", detail));
        }
        let body = read_body(request.into_body(), max_body(gateway)).await?;
        let value: Value = serde_json::from_slice(&body).map_err(|error| Problem::malformed(error.to_string()))?;
        json::from_value(value).map(Message).map_err(Problem::malformed)
    }
}

/// The largest content, written in base64 or with its quotes escaped, and what surrounds it.
fn max_body(gateway: &Gateway) -> usize {
    2 * gateway.service.limits().max_content as usize + 4096
}

async fn read_body(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, limit)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            let detail = format!("the body could not be read, or is longer than {limit} bytes");
            Err(Problem::http(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", detail))
        }
        Err(_) => Err(Problem::http(StatusCode::REQUEST_TIMEOUT, "BODY_TIMEOUT", "the body did not arrive in time")),
    }
}
