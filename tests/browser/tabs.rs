//! Tabs of one browser are one device with one connection, whichever of them is open.

use crate::{
    chats::PASSWORD,
    chrome::Chrome,
    http::Request,
    page::Page,
    server::{TestServer, eventually},
};

const TABS: usize = 10;

/// Opens ten tabs, of which the first logs in.
async fn ten_tabs(server: &TestServer, chrome: &Chrome, url: &str) -> Vec<Page> {
    server.add_user("alice", PASSWORD);
    let first = chrome.open(url).await;
    first.log_in("alice", PASSWORD).await;
    let mut tabs = vec![first];
    for _ in 1..TABS {
        let tab = chrome.open(url).await;
        tab.until_online().await;
        tabs.push(tab);
    }
    tabs
}

/// What somebody says by other means.
fn bob_says(server: &TestServer, text: &str) {
    let login = serde_json::json!({ "token": server.token("bob"), "device": "script" });
    let welcome = Request::post("/v1/login", &login).send(server.http()).ok();
    let message = serde_json::json!({ "to": "alice", "text": text });
    Request::post("/v1/messages", &message).bearer(welcome["token"].as_str().unwrap()).send(server.http()).ok();
}

async fn all_are_live(server: &TestServer, tabs: &[Page], way: &str) {
    let text = format!("hello by {way}");
    bob_says(server, &text);
    for tab in tabs {
        tab.until(&format!("document.querySelector('.last')?.textContent === {text:?}")).await;
    }
}

async fn one_device_with_one_connection(server: &TestServer, chrome: &Chrome, url: &str) {
    let tabs = ten_tabs(server, chrome, url).await;
    assert_eq!(server.metric("hongyan_logins_total"), 1);
    assert_eq!(server.metric("hongyan_resumes_total"), 1, "one tab has opened a WebSocket, for all");
    all_are_live(server, &tabs, "websocket").await;
    // Browsers allow six streams to a server over HTTP/1.1: ten would not fit.
    tabs[3].choose_way("sse").await;
    let opened = server.metric("hongyan_resumes_total");
    all_are_live(server, &tabs, "sse").await;
    tabs[7].talk_to("bob").await;
    tabs[7].say("hello all").await;
    for tab in &tabs {
        tab.until("document.querySelector('.last')?.textContent === 'You: hello all'").await;
    }
    assert_eq!(server.metric("hongyan_resumes_total"), opened);
    chrome.assert_quiet(&[]);
}

#[tokio::test]
async fn ten_tabs_over_http_1() {
    let Some(chrome) = Chrome::start().await else { return };
    let server = TestServer::start();
    let url = format!("http://127.0.0.1:{}/", server.http().port());
    one_device_with_one_connection(&server, &chrome, &url).await;
    server.assert_healthy();
}

#[tokio::test]
async fn ten_tabs_over_http_2() {
    let Some(chrome) = Chrome::start().await else { return };
    let files = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(files.path().join("cert.pem"), issued.cert.pem()).unwrap();
    std::fs::write(files.path().join("key.pem"), issued.signing_key.serialize_pem()).unwrap();
    let server =
        TestServer::with(&format!("[tls]\ncert = \"{0}/cert.pem\"\nkey = \"{0}/key.pem\"\n", files.path().display()));
    let url = format!("https://localhost:{}/", server.http().port());
    one_device_with_one_connection(&server, &chrome, &url).await;
    server.assert_healthy();
}

#[tokio::test]
async fn without_a_shared_worker_one_tab_is_elected_after_the_other() {
    let Some(chrome) = Chrome::start_with(&["--disable-shared-workers"]).await else { return };
    let server = TestServer::start();
    let url = format!("http://127.0.0.1:{}/", server.http().port());
    let mut tabs = ten_tabs(&server, &chrome, &url).await;
    assert_eq!(tabs[0].evaluate("typeof SharedWorker").await, "undefined");
    all_are_live(&server, &tabs, "the first").await;
    let resumes = server.metric("hongyan_resumes_total");
    tabs.remove(0).close().await;
    eventually("another tab has taken over", || (server.metric("hongyan_resumes_total") > resumes).then_some(()));
    all_are_live(&server, &tabs, "another").await;
    tabs[5].talk_to("bob").await;
    tabs[5].say("still here").await;
    tabs[2].until("document.querySelector('.last')?.textContent === 'You: still here'").await;
    assert_eq!(server.metric("hongyan_resumes_total"), resumes + 1);
    chrome.assert_quiet(&[]);
    server.assert_healthy();
}
