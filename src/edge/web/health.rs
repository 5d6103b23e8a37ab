//! Whether the server is well, and what it has counted: for load balancers and Prometheus.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};

use crate::session::Service;

pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(service)
}

/// 503 while draining and when the store takes no writes: a load balancer should send people elsewhere.
async fn ready(State(service): State<Arc<Service>>) -> (StatusCode, &'static str) {
    if service.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    match service.metrics().is_store_failing() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "the store takes no writes\n"),
        false => (StatusCode::OK, "ready\n"),
    }
}

async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], service.metrics().render())
}
