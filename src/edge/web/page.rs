//! The chat page at `/`: the files of `web/`, built into the program, each with its type and an ETag, under a policy by
//! which the browser runs and loads nothing from anywhere else.

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::problem::Problem;

/// What the page is made of. There is no build step: what stands there is what browsers get.
#[derive(RustEmbed)]
#[folder = "web/"]
struct Files;

/// Only what this server sends, no text taken for a script, in nobody's frame. `frame-src` is for the stream in a hidden
/// frame, and the one kind of trusted script is the worker that all tabs share.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    worker-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types hongyan-worker";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // A browser asks each time whether its copy is the newest, so that all files are of one version.
    (header::CACHE_CONTROL, "no-cache"),
];

pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(|headers: HeaderMap, uri: Uri| serve("index.html".to_owned(), headers, uri)))
        .route("/page/{*file}", get(|Path(file): Path<String>, headers: HeaderMap, uri: Uri| serve(file, headers, uri)))
}

async fn serve(name: String, headers: HeaderMap, uri: Uri) -> Response {
    match (Files::get(&name), content_type(&name)) {
        (Some(file), Some(content_type)) => respond(file, content_type, &headers),
        _ => Problem::unknown_path(&uri).into_response(),
    }
}

fn respond(file: EmbeddedFile, content_type: &'static str, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(file.metadata.sha256_hash()));
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let etag = [(header::ETAG, etag)];
    match is_known {
        true => (StatusCode::NOT_MODIFIED, HEADERS, etag).into_response(),
        false => {
            let content_type = HeaderValue::from_static(content_type);
            (HEADERS, etag, [(header::CONTENT_TYPE, content_type)], file.data).into_response()
        }
    }
}

fn content_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_a_type_and_the_page_names_no_other_place() {
        for name in Files::iter() {
            assert!(content_type(&name).is_some(), "{name}");
            let text = String::from_utf8(Files::get(&name).unwrap().data.into_owned()).unwrap();
            let others: Vec<_> = text.match_indices("://").map(|(at, _)| &text[at.saturating_sub(8)..]).collect();
            let is_own = |other: &&str| other.contains("http://www.w3.org/2000/svg");
            assert!(others.iter().all(is_own), "{name}: {others:?}");
            assert!(text.lines().count() < 400 || name.ends_with(".css"), "{name} is too long");
        }
    }
}
