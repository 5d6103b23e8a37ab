//! Which pages may use this server: those of its own origin and of those that the configuration names.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::problem::Problem;

pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Lets pages of the named origins read the answers. It names no credentials: cookies stay with the own origin.
pub fn cors(origins: &[String]) -> CorsLayer {
    let allowed = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(allowed))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            IDEMPOTENCY_KEY,
            LAST_EVENT_ID,
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER])
}

/// Refuses what a page of another origin has a browser send, whether or not it could read the answer.
/// The state: the origins that the configuration names.
pub async fn check(State(origins): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    match is_allowed(request.headers(), request.uri().host_and_port(), &origins) {
        true => next.run(request).await,
        false => {
            let detail = "pages of this origin may not use this server: name it in the setting web.origins";
            Problem::http(StatusCode::FORBIDDEN, "ORIGIN_REFUSED", detail).into_response()
        }
    }
}

fn is_allowed(headers: &HeaderMap, authority: Option<String>, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        // What browsers say of themselves where they name no origin: links and pictures of other sites.
        return headers.get("sec-fetch-site").is_none_or(|site| site != "cross-site" && site != "same-site");
    };
    let Ok(origin) = origin.to_str() else { return false };
    let host = authority.or_else(|| Some(headers.get(header::HOST)?.to_str().ok()?.to_owned()));
    let is_own =
        origin.split_once("://").is_some_and(|(_, own)| host.is_some_and(|host| own.eq_ignore_ascii_case(&host)));
    is_own || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
}

trait HostAndPort {
    /// As HTTP/2 names it; HTTP/1.1 has a header for it.
    fn host_and_port(&self) -> Option<String>;
}

impl HostAndPort for axum::http::Uri {
    fn host_and_port(&self) -> Option<String> {
        self.authority().map(|authority| authority.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_own_origin_and_named_ones_are_allowed() {
        let named = ["https://chat.example.com".to_owned()];
        let host = ("host", "im.example.com:7680");
        for good in [
            &[host][..],
            &[host, ("origin", "https://im.example.com:7680")],
            &[host, ("origin", "https://chat.example.com")],
            &[host, ("sec-fetch-site", "same-origin")],
        ] {
            assert!(is_allowed(&headers(good), None, &named), "{good:?}");
        }
        for bad in [
            &[host, ("origin", "https://im.example.com")][..],
            &[host, ("origin", "https://evil.example")],
            &[host, ("origin", "null")],
            &[host, ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!is_allowed(&headers(bad), None, &named), "{bad:?}");
        }
        let h2 = headers(&[("origin", "https://im.example.com")]);
        assert!(is_allowed(&h2, Some("im.example.com".into()), &[]));
    }
}
