//! The HTTP port: whether the server is well, whether it takes work, what it has counted.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::core::Core;

/// Serves until `stop`.
pub async fn run(listener: TcpListener, core: Arc<Core>, stop: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(core);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the HTTP port failed");
    }
}

/// 503 while draining and when the store takes no writes: a load balancer should send people elsewhere.
async fn ready(State(core): State<Arc<Core>>) -> (StatusCode, &'static str) {
    if core.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    match core.metrics.is_store_failing() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "the store takes no writes\n"),
        false => (StatusCode::OK, "ready\n"),
    }
}

async fn metrics(State(core): State<Arc<Core>>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], core.metrics.render())
}
