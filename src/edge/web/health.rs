//! Whether the server is well, and what it has counted: for load balancers and Prometheus.

use std::{borrow::Cow, sync::Arc};

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

/// 503 when a part has failed, while draining and when the store takes no writes: a load balancer should send people elsewhere.
async fn ready(State(service): State<Arc<Service>>) -> (StatusCode, Cow<'static, str>) {
    let reason = match service.watch().death() {
        // What a panic said is for the log.
        Some(death) => format!("{} has failed\n", death.task).into(),
        None if service.is_draining() => "draining\n".into(),
        None if service.metrics().is_store_failing() => "the store takes no writes\n".into(),
        None => return (StatusCode::OK, "ready\n".into()),
    };
    (StatusCode::SERVICE_UNAVAILABLE, reason)
}

async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], service.metrics().render())
}
