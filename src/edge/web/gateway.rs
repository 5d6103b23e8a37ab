//! The web's ways in, under `/v1`: WebSocket, event streams, polling, and requests for those that only listen.
//!
//! A WebSocket carries the native protocol itself ([`websocket`]): the same link, the same connection, another transport.
//! Everything else speaks for a device of [`devices`], whose session outlives its requests: [`login`] makes one,
//! [`access`] finds it by its bearer token, [`operations`] act for it, [`requests`] ask, and [`events`] reads its log
//! through a [`feed`], one poll at a time or as one of the [`stream`]s. What is said is JSON of the protocol's own
//! messages ([`json`]), and what goes wrong a [`problem`]. [`openapi`] describes it all to machines, `docs/http.md` to
//! people. [`page`] is the chat page, which uses nothing but this.
//!
//! *Architecture Invariant*: a gateway never touches the store or the session map. It asks `login` and `dispatch`.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    http::{Method, StatusCode, Uri},
    middleware,
    response::Response,
    routing::{get, post},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    devices::Devices, events, openapi, operations, origin, page, problem::Problem, requests, sign_in, websocket,
};
use crate::{base::alarms::Alarms, config::Web, edge::port::headcount::Headcount, session::service::Core};

/// What the web's ways in share.
pub struct Gateway {
    pub(super) core: Arc<Core>,
    pub(super) config: Web,
    pub(super) devices: Devices,
    pub(super) alarms: Arc<Alarms>,
    pub(super) strangers: Arc<Headcount>,
    /// WebSockets are links like any other.
    pub(super) links: TaskTracker,
}

impl Gateway {
    pub fn new(
        core: Arc<Core>,
        config: Web,
        alarms: Arc<Alarms>,
        strangers: Arc<Headcount>,
        links: TaskTracker,
    ) -> Arc<Self> {
        let devices = Devices::new(config.max_devices as usize);
        Arc::new(Self { core, config, devices, alarms, strangers, links })
    }

    /// The routes under `/v1`.
    pub fn router(self: &Arc<Self>) -> Router {
        let routes = Router::new()
            .route("/v1/login", post(sign_in::log_in))
            .route("/v1/resume", post(sign_in::resume))
            .route("/v1/logout", post(sign_in::log_out))
            .route("/v1/register", get(sign_in::registration).post(sign_in::register))
            .route("/v1/ticket", post(sign_in::ticket))
            .route("/v1/events", get(events::read))
            .route("/v1/messages", post(operations::send))
            .route("/v1/ack", post(operations::ack))
            .route("/v1/signal", post(operations::signal))
            .route("/v1/messages/{sendNo}/status", get(requests::sent_status))
            .route("/v1/request", post(requests::request))
            .route("/v1/account", get(requests::account))
            .route("/v1/conversations", get(requests::conversations))
            .route("/v1/conversations/{conversation}", get(requests::conversation))
            .route("/v1/conversations/{conversation}/messages", get(requests::messages))
            .route("/v1/conversations/{conversation}/messages/{cseq}/status", get(requests::status))
            .route("/v1/conversations/{conversation}/group", get(requests::group))
            .route("/v1/conversations/{conversation}/members", get(requests::members))
            .route("/v1/presence", post(requests::presence))
            .route("/v1/contacts", get(requests::contacts))
            .route("/v1/privacy", get(requests::privacy))
            .route("/v1/ws", get(websocket::upgrade))
            .route("/v1/openapi.json", get(openapi::document))
            .fallback(unknown_path)
            .method_not_allowed_fallback(wrong_method)
            .layer(middleware::from_fn_with_state(self.clone(), origin::check));
        let routes = match &self.config.origins[..] {
            [] => routes,
            origins => routes.layer(origin::cors(origins)),
        };
        // Links from anywhere may lead to the page: it only asks who one is.
        let routes = match self.config.page {
            true => routes.merge(page::router()),
            false => routes,
        };
        routes.layer(middleware::map_response(harden)).with_state(self.clone())
    }

    /// Forgets devices that have gone, until `stop`.
    pub async fn expire(self: Arc<Self>, stop: CancellationToken) {
        let grace = self.config.poll_grace;
        let mut ticks = tokio::time::interval((grace / 4).min(std::time::Duration::from_secs(5)));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.devices.expire(grace, Instant::now()),
            }
        }
    }
}

pub(super) async fn unknown_path(uri: Uri) -> Problem {
    Problem::http(StatusCode::NOT_FOUND, "UNKNOWN_PATH", format!("there is nothing at {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    Problem::http(StatusCode::METHOD_NOT_ALLOWED, "WRONG_METHOD", detail)
}

/// Nothing that is answered here is to be taken for a document of another type.
async fn harden(mut response: Response) -> Response {
    use axum::http::{HeaderValue, header};
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
