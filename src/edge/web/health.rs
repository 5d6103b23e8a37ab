//! Whether the server is well, and what it has counted: for load balancers and Prometheus.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};

use crate::session::service::Core;

pub fn router(core: Arc<Core>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(core)
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
