//! What went wrong, as RFC 9457 problem details: the HTTP status, our code and its name, what to do, when to try again.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use hongyan_proto::{
    CloseCode,
    wire::{self, FailureCode, NackCode},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::session::{DeviceError, Rejection};

/// When to try again where there is no room.
const ROOM_MAY_COME: Duration = Duration::from_secs(5);

/// The body of every answer that is no success, as `application/problem+json`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `urn:hongyan:problem:` and the name of the problem. It alone tells problems apart.
    #[serde(rename = "type")]
    kind: String,
    /// The name in words.
    title: String,
    /// The HTTP status again.
    status: u16,
    /// What was wrong in this case and what to do, for people.
    detail: String,
    /// The close code (1000-5999), refusal or failure code of the native protocol, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    /// Not before this many milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u32>,
    /// With GAP: the send_no that is expected next.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
}

impl Problem {
    /// A problem of HTTP itself, which the native protocol does not know.
    pub fn http(status: StatusCode, name: &str, detail: impl Into<String>) -> Self {
        Self::named(status, name, detail.into())
    }

    fn named(status: StatusCode, name: &str, detail: String) -> Self {
        Self {
            kind: format!("urn:hongyan:problem:{name}"),
            title: name.replace('_', " ").to_lowercase(),
            status: status.as_u16(),
            detail,
            code: None,
            retry_after_ms: None,
            expected: None,
        }
    }

    /// A close code.
    pub fn closed(code: CloseCode, detail: &str) -> Self {
        let name = code.name().unwrap_or("CLOSED");
        Self { code: Some(code.0), ..Self::named(status_of_close(code), name, detail.into()) }
    }

    /// A SEND that was not taken.
    pub fn nack(nack: wire::SendNack) -> Self {
        let code = NackCode::try_from(nack.code).unwrap_or_default();
        let (status, detail) = match code {
            NackCode::NackGap => (StatusCode::CONFLICT, "sendNo was jumped: go on from `expected`"),
            NackCode::NackRateLimited => (StatusCode::TOO_MANY_REQUESTS, "this user sends faster than is allowed"),
            NackCode::NackUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "the store takes no writes now"),
            NackCode::NackNotFound => (StatusCode::NOT_FOUND, "there is no such recipient"),
            NackCode::NackTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the content is too large"),
            NackCode::NackForbidden => (StatusCode::FORBIDDEN, "the sender may not do this"),
            NackCode::NackAnswerExpired => (StatusCode::CONFLICT, "this sendNo was answered long ago"),
            NackCode::NackTooLate => (StatusCode::FORBIDDEN, "the time in which this may be done is over"),
            NackCode::NackFull => (StatusCode::CONFLICT, "there is no room"),
            NackCode::NackInvalid | NackCode::NackUnspecified => {
                (StatusCode::UNPROCESSABLE_ENTITY, "a field breaks its rule")
            }
        };
        let detail = if nack.reason.is_empty() { detail.to_owned() } else { nack.reason };
        Self {
            code: Some(nack.code as u32),
            retry_after_ms: (nack.retry_after_ms > 0).then_some(nack.retry_after_ms),
            expected: (nack.expected > 0).then(|| nack.expected.to_string()),
            ..Self::named(status, code.as_str_name().trim_start_matches("NACK_"), detail)
        }
    }

    /// A request that failed.
    pub fn failure(failure: wire::Failure) -> Self {
        let code = FailureCode::try_from(failure.code).unwrap_or_default();
        let status = match failure.code {
            1..16 => StatusCode::SERVICE_UNAVAILABLE,
            16 => StatusCode::NOT_FOUND,
            19 => StatusCode::FORBIDDEN,
            21 => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let name = code.as_str_name().trim_start_matches("FAILURE_");
        Self { code: Some(failure.code as u32), ..Self::named(status, name, failure.reason) }
    }

    pub fn unknown_path(uri: &Uri) -> Self {
        Self::http(StatusCode::NOT_FOUND, "UNKNOWN_PATH", format!("there is nothing at {}", uri.path()))
    }

    pub fn wrong_method(method: &Method, uri: &Uri) -> Self {
        let detail = format!("{} does not take {method}", uri.path());
        Self::http(StatusCode::METHOD_NOT_ALLOWED, "WRONG_METHOD", detail)
    }

    /// The body or a parameter is not of the documented form.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::http(StatusCode::BAD_REQUEST, "MALFORMED", detail)
    }

    pub fn after(mut self, wait: Duration) -> Self {
        let ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        self.retry_after_ms = (ms > 0).then_some(ms);
        self
    }
}

fn status_of_close(code: CloseCode) -> StatusCode {
    match code {
        CloseCode::OVERLOADED | CloseCode::UNAVAILABLE | CloseCode::GOING_AWAY => StatusCode::SERVICE_UNAVAILABLE,
        CloseCode::TOO_MANY_ATTEMPTS => StatusCode::TOO_MANY_REQUESTS,
        CloseCode::BAD_FIELD | CloseCode::BAD_MESSAGE => StatusCode::BAD_REQUEST,
        CloseCode::FRAME_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
        CloseCode(4000..5000) => StatusCode::CONFLICT,
        CloseCode(5000..6000) => StatusCode::UNAUTHORIZED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        Self::closed(rejection.code, &rejection.reason).after(rejection.retry_after)
    }
}

impl From<DeviceError> for Problem {
    fn from(error: DeviceError) -> Self {
        let full = |detail| Self::closed(CloseCode::OVERLOADED, detail).after(ROOM_MAY_COME);
        match error {
            DeviceError::Full => full("too many devices are present by HTTP, try again later"),
            DeviceError::TicketsFull => full("too many tickets are unused, try again later"),
            DeviceError::TicketInvalid => {
                let detail = "the ticket was used before or has expired: ask for a new one with POST /v1/ticket";
                Self::http(StatusCode::UNAUTHORIZED, "TICKET_INVALID", detail)
            }
            DeviceError::TooManyRequests { retry_after } => {
                let detail = "this device makes more requests than this server allows";
                Self::http(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS", detail).after(retry_after)
            }
            DeviceError::Ended(code, reason) => Self::closed(code, &reason),
            DeviceError::Refused(rejection) => rejection.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after_ms.map(|ms| HeaderValue::from(ms.div_ceil(1000)));
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
