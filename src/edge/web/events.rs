//! `GET /v1/events`: the entries behind a number, as a poll or as a stream.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hongyan_proto::CloseCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    access::{Params, StreamCaller},
    feed::{Feed, Next},
    gateway::Gateway,
    json::to_value,
    operations::acknowledge,
    origin::LAST_EVENT_ID,
    problem::Problem,
    stream::{self, Format},
};
use crate::session::Place;

/// The longest that a poll waits, in seconds.
const MAX_WAIT: u64 = 60;

#[derive(Deserialize, utoipa::IntoParams)]
pub struct EventsQuery {
    /// Entries behind this place: `next` of the last answer, the id of an event, or a `useq`. Left out: behind what this
    /// device has acked.
    after: Option<String>,
    /// A poll waits for so many seconds for something new: 0 to 60.
    #[serde(default)]
    wait: u64,
    /// The same as POST /v1/ack before it.
    ack: Option<u64>,
    /// poll, sse, ndjson or iframe. Left out: as the Accept header says, else poll.
    #[serde(rename = "as")]
    form: Option<Form>,
}

/// How entries are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    Poll,
    Sse,
    Ndjson,
    Iframe,
}

#[utoipa::path(get, path = "/v1/events", tag = "reading", summary = "Entries behind a number: a poll, or a stream", params(EventsQuery, ("Last-Event-ID" = Option<String>, Header), ("ticket" = Option<String>, Query)), responses((status = 200, description = "a poll; a stream has one event after the other", body = ref("#/components/schemas/Poll"))))]
pub async fn read(
    State(gateway): State<Arc<Gateway>>,
    StreamCaller(device): StreamCaller,
    Params(query): Params<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if query.wait > MAX_WAIT {
        return Err(Problem::malformed(format!("wait: 0 to {MAX_WAIT} seconds")));
    }
    let place = place(&query, &headers)?;
    if let Some(useq) = query.ack {
        acknowledge(&device, useq)?;
    }
    let place = match place {
        Some(place) => place,
        None => Place::behind(device.cursor()),
    };
    let heartbeat = gateway.config.heartbeat;
    let feed = Feed::begin(device, place);
    match query.form.unwrap_or_else(|| accepted(&headers)) {
        Form::Poll => poll(feed, Duration::from_secs(query.wait), &headers).await,
        Form::Sse => Ok(stream::respond(feed, Format::Sse, heartbeat)),
        Form::Ndjson => Ok(stream::respond(feed, Format::Ndjson, heartbeat)),
        Form::Iframe => Ok(stream::respond(feed, Format::iframe(heartbeat), heartbeat)),
    }
}

/// Where to begin. What the browser says of the last event it has comes before what the page said at first.
fn place(query: &EventsQuery, headers: &HeaderMap) -> Result<Option<Place>, Problem> {
    let last = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or_default());
    let Some(text) = last.or(query.after.as_deref()) else { return Ok(None) };
    let place = text.parse();
    place.map(Some).map_err(|_| Problem::malformed("after, Last-Event-ID: a useq, or the id of an event"))
}

fn accepted(headers: &HeaderMap) -> Form {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match accept {
        _ if accept.contains("text/event-stream") => Form::Sse,
        _ if accept.contains("application/x-ndjson") => Form::Ndjson,
        _ => Form::Poll,
    }
}

async fn poll(mut feed: Feed, wait: Duration, headers: &HeaderMap) -> Result<Response, Problem> {
    let next = match wait.is_zero() {
        true => feed.now().await,
        false => tokio::time::timeout(wait, feed.next()).await.ok(),
    };
    let mut body = json!({});
    match next {
        None => body["entries"] = json!([]),
        Some(Next::Entries(entries)) => body["entries"] = entries.iter().map(to_value).collect::<Value>(),
        Some(Next::Passed(passed)) => body["passed"] = passed.iter().map(to_value).collect::<Value>(),
        Some(Next::Signal(signal)) => body["signal"] = to_value(&signal),
        Some(Next::Reset(reset)) => body["syncReset"] = to_value(&reset),
        Some(Next::GoAway(_)) => return Err(going_away()),
        Some(Next::Closed(code, reason)) => return Err(Problem::closed(code, &reason)),
        Some(Next::Superseded) => return Err(superseded()),
    }
    let next = feed.place().to_string();
    let etag = HeaderValue::from_str(&format!("\"{next}\"")).map_err(|_| going_away())?;
    let is_same = headers.get(header::IF_NONE_MATCH) == Some(&etag);
    let caching = [(header::ETAG, etag), (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    if is_same && body["entries"].as_array().is_some_and(Vec::is_empty) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    body["next"] = next.into();
    Ok((caching, Json(body)).into_response())
}

fn going_away() -> Problem {
    Problem::closed(CloseCode::GOING_AWAY, "the server is stopping, come back soon").after(Duration::from_secs(1))
}

fn superseded() -> Problem {
    let detail = "another request of this device reads its events now";
    Problem::http(StatusCode::CONFLICT, "SUPERSEDED", detail)
}
