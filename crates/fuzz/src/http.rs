//! Requests of HTTP against a whole server: each is answered in time and in the documented form.
//!
//! An input is text: requests with a zero byte between them, each a line with method and target, a line for each header,
//! an empty line, the body. `{token}` stands for the bearer token of a device of alice, `{ticket}` for a ticket of it,
//! `{access}` for what she logs in with.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use hongyan::{host::enclosed::Enclosed, store::memory::MemoryEngine};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    grammar,
    house::{self, ADDRESS},
    json,
    net::Rng,
};

const REQUESTS: usize = 12;
/// A poll waits for a minute at the most, and nothing else for so long.
const SOON: Duration = Duration::from_secs(61);
/// How long an endless answer is listened to.
const LISTENED: Duration = Duration::from_secs(30);

pub fn run(data: &[u8]) {
    let requests: Vec<&[u8]> = data.split(|byte| *byte == 0).take(REQUESTS).collect();
    house::visit(&Arc::new(MemoryEngine::new()), async |server| {
        let access = house::access_token("alice");
        let login = json!({ "token": access, "device": "web" });
        let mut words = vec![("{access}", access)];
        words.push(("{token}", told(server, "/v1/login", "", &login, "token").await));
        words.push(("{ticket}", told(server, "/v1/ticket", &words[1].1, &json!({}), "ticket").await));
        for request in requests {
            let mut text = request.to_vec();
            words.iter().for_each(|(word, meaning)| text = replaced(&text, word.as_bytes(), meaning.as_bytes()));
            if let Some(request) = read(&text) {
                let target = request.uri().clone();
                let response = timeout(SOON, server.answer(request, ADDRESS)).await;
                check(target.path(), response.unwrap_or_else(|_| panic!("{target} is not answered"))).await;
            }
        }
    });
}

/// A word of the answer to a good POST.
async fn told(server: &Enclosed, path: &str, token: &str, body: &Value, word: &str) -> String {
    let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let response = server.answer(request.body(Body::from(body.to_string())).unwrap(), ADDRESS).await;
    let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    answer[word].as_str().unwrap_or_else(|| panic!("{path} tells no {word}: {answer}")).to_owned()
}

fn replaced(text: &[u8], word: &[u8], meaning: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.first() {
        match rest.strip_prefix(word) {
            Some(behind) => {
                out.extend_from_slice(meaning);
                rest = behind;
            }
            None => {
                out.push(*first);
                rest = &rest[1..];
            }
        }
    }
    out
}

/// None: no request of HTTP, which the library that reads them refuses before it comes to us.
fn read(text: &[u8]) -> Option<Request> {
    let mut lines = text.splitn(2, |byte| *byte == b'\n');
    let mut words = lines.next()?.splitn(2, |byte| *byte == b' ');
    let (method, target) = (words.next()?, words.next()?);
    let mut request = Request::builder().method(method).uri(target);
    let mut rest = lines.next().unwrap_or_default();
    loop {
        let mut lines = rest.splitn(2, |byte| *byte == b'\n');
        let line = lines.next()?;
        rest = lines.next().unwrap_or_default();
        if line.is_empty() {
            return request.body(Body::from(rest.to_vec())).ok();
        }
        let at = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..at], line[at + 1..].trim_ascii());
    }
}

async fn check(path: &str, response: Response) {
    let (status, headers) = (response.status(), response.headers().clone());
    assert!(!status.is_server_error() || status == StatusCode::NOT_IMPLEMENTED, "{status}");
    // What never ends is left in the middle.
    let Ok(body) = timeout(LISTENED, to_bytes(response.into_body(), 1 << 20)).await else { return };
    let body = body.expect("an answer has an end");
    match kind(&headers) {
        "application/json" => {
            assert!(!status.is_client_error(), "{path}: {status} is no problem by its type");
            serde_json::from_slice::<Value>(&body).expect("the answer is JSON");
        }
        "application/problem+json" => {
            let problem: Value = serde_json::from_slice(&body).expect("a problem is JSON");
            assert_eq!(problem["status"], status.as_u16());
            assert!(problem["type"].as_str().is_some_and(|kind| kind.starts_with("urn:hongyan:problem:")), "{problem}");
            assert!(problem["detail"].is_string(), "{problem}");
        }
        // The chat page, and what tells of the server's health, have no problems to detail.
        _ => assert!(!status.is_client_error() || !path.starts_with("/v1/"), "{path}: {status} without its details"),
    }
}

fn kind(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default()
}

pub fn generate(rng: &mut Rng) -> Vec<u8> {
    let requests: Vec<Vec<u8>> = (0..1 + rng.below(4)).map(|_| request(rng)).collect();
    let mut input = requests.join(&0);
    (0..rng.below(3)).for_each(|_| grammar::mutate(&mut input, rng));
    input
}

fn request(rng: &mut Rng) -> Vec<u8> {
    const TARGETS: [&str; 20] = [
        "GET /v1/account",
        "GET /v1/conversations?after=0&limit=3",
        "GET /v1/conversations/alice",
        "GET /v1/conversations/%231/messages?after=1&before=9&limit=2&forward=true",
        "GET /v1/conversations/alice/messages?cseqs=1,2",
        "GET /v1/conversations/alice/messages/1/status",
        "GET /v1/conversations/%231/group",
        "GET /v1/conversations/%231/members?role=ROLE_ADMIN",
        "GET /v1/messages/1/status",
        "GET /v1/contacts",
        "GET /v1/privacy",
        "GET /v1/register",
        "GET /v1/ws",
        "GET /v1/openapi.json",
        "GET /v1/events?after=0&wait=1&ack=0",
        "GET /v1/events?as=sse&ticket={ticket}",
        "GET /v1/events?as=iframe&after=1-0",
        "GET /v1/events?as=ndjson",
        "OPTIONS /v1/messages",
        "GET /",
    ];
    const BODIES: [(&str, &str); 8] = [
        ("login", r#"{"token":"{access}","device":"web","cookie":true}"#),
        ("resume", r#"{"cursor":"0","limitsId":1}"#),
        ("ack", r#"{"useq":"1"}"#),
        ("signal", r#"{"to":"alice","typing":true}"#),
        ("presence", r#"{"uids":["alice","bob"],"replace":true}"#),
        ("ticket", "{}"),
        ("logout", "{}"),
        ("register", r#"{"uid":"dave","password":"correct horse"}"#),
    ];
    let headers = "authorization: Bearer {token}\ncontent-type: application/json\n";
    let more = match rng.below(6) {
        0 => "last-event-id: 1-2\n",
        1 => "if-none-match: \"1-0\"\n",
        2 => "origin: https://elsewhere.example\n",
        3 => "cookie: hongyan={token}\naccept: text/event-stream\n",
        _ => "",
    };
    match rng.below(4) {
        0 => {
            let (path, body) = BODIES[rng.below(BODIES.len() as u64) as usize];
            format!("POST /v1/{path}\n{headers}{more}\n{body}").into_bytes()
        }
        1 | 2 => {
            let noise = grammar::noise(rng);
            let asked = grammar::asked::frame(&mut arbitrary::Unstructured::new(&noise));
            let (path, frame) = match asked {
                Ok(frame @ hongyan_proto::frame::Frame::Request(_)) => ("request", frame),
                Ok(frame) => ("messages", frame),
                Err(_) => return noise,
            };
            let frame: Value = serde_json::from_str(&json::text_of(&frame).unwrap_or("{}".into())).unwrap();
            let mut body = frame.as_object().and_then(|frame| frame.values().next()).cloned().unwrap_or_default();
            if let Some(body) = body.as_object_mut() {
                body.remove("sendNo");
            }
            let key = if rng.below(2) == 0 { "idempotency-key: once\n" } else { "" };
            format!("POST /v1/{path}\n{headers}{key}\n{body}").into_bytes()
        }
        _ => format!("{}\n{headers}{more}\n", TARGETS[rng.below(TARGETS.len() as u64) as usize]).into_bytes(),
    }
}
