//! What stands under which path of `/v1`, and what holds for all of it: who may call from where, what becomes of paths
//! and methods that there are none of.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, Method, Uri, header},
    middleware,
    response::Response,
    routing::{get, post},
};

use super::{
    events, gateway::Gateway, openapi, operations, origin, page, problem::Problem, requests, sign_in, websocket,
};

/// The routes under `/v1`, and the page if it is served.
pub fn router(gateway: &Arc<Gateway>) -> Router {
    let origins: Arc<[String]> = gateway.config.origins.clone().into();
    let routes = handlers()
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(origins.clone(), origin::check));
    let routes = match &origins[..] {
        [] => routes,
        origins => routes.layer(origin::cors(origins)),
    };
    // Links from anywhere may lead to the page: it only asks who one is.
    let routes = match gateway.config.page {
        true => routes.merge(page::router()),
        false => routes,
    };
    routes.layer(middleware::map_response(harden)).with_state(gateway.clone())
}

fn handlers() -> Router<Arc<Gateway>> {
    Router::new()
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
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::unknown_path(&uri)
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::wrong_method(&method, &uri)
}

/// Nothing that is answered here is to be taken for a document of another type.
async fn harden(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
