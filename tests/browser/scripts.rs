//! What people write is text, wherever it comes to stand.

use serde_json::{Value, json};

use crate::{chats::alice_and_bob, chrome::Chrome, http::Request, server::TestServer};

const SCRIPT: &str = "</script><script>window.owned = 1</script><img src=x onerror=\"window.owned = 1\"><b>bold</b>";

#[tokio::test]
async fn a_script_shows_as_text_by_every_way() {
    let Some(chrome) = Chrome::start().await else { return };
    let server = TestServer::start();
    let (_alice, bob) = alice_and_bob(&server, &chrome).await;
    let login = json!({ "token": server.token("alice"), "device": "script" });
    let welcome = Request::post("/v1/login", &login).send(server.http()).ok();
    let send = |message: Value| {
        Request::post("/v1/messages", &message).bearer(welcome["token"].as_str().unwrap()).send(server.http()).ok()
    };
    let title = &SCRIPT[..SCRIPT.len().min(128)];
    let made = send(json!({ "act": { "groupCreate": { "settings": { "title": title }, "members": ["bob"] } } }));
    let group = format!("#{}", made["group"].as_str().unwrap());
    bob.until(&format!("document.querySelector('#lines b')?.textContent === {title:?}")).await;
    bob.click("#lines button").await;
    bob.until(&format!("document.querySelector('#title').textContent === {title:?}")).await;
    let mut said = Vec::new();
    for way in ["websocket", "sse", "ndjson", "iframe", "long"] {
        bob.choose_way(way).await;
        let sent = send(json!({ "to": group, "text": SCRIPT }));
        said.push(SCRIPT);
        bob.until_texts(&said).await;
        send(json!({ "to": group, "act": { "react": { "cseq": sent["cseq"], "reaction": "<i>hi</i>" } } }));
        bob.until(&format!("document.querySelectorAll('.reactions button').length === {}", said.len())).await;
    }
    // As an answer and as a draft it is quoted.
    send(json!({ "to": group, "text": "see above", "extras": { "replyTo": "2" } }));
    bob.until_seen(".quote").await;
    bob.click_by_script(".message .tools [aria-label='Reply (R)']").await;
    bob.until_seen("#about").await;
    let foreign = "document.querySelectorAll('#chat img, #chat script, #chat b b, #messages i').length";
    assert_eq!(bob.evaluate(foreign).await, json!(0));
    assert_eq!(bob.evaluate("typeof window.owned").await, "undefined");
    chrome.assert_quiet(&[]);
    server.assert_healthy();
}

#[tokio::test]
async fn the_page_runs_and_loads_nothing_of_others() {
    let Some(chrome) = Chrome::start().await else { return };
    let server = TestServer::start();
    let page = chrome.open(&format!("http://127.0.0.1:{}/", server.http().port())).await;
    page.until_seen("#login-form").await;
    // The policy is in force: what a hole in the page would let in is refused.
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('img'), { src: 'http://localhost:1/x' }))",
    )
    .await;
    let refused =
        page.evaluate("(() => { try { document.body.innerHTML = '<p>'; } catch (error) { return error.name; } })()");
    assert_eq!(refused.await, "TypeError", "no text becomes markup");
    assert!(chrome.console().iter().any(|line| line.contains("Content Security Policy")));
    assert_eq!(page.evaluate("performance.getEntriesByType('resource').filter(({ name }) => !name.startsWith(location.origin)).length - 1").await, json!(0));
}
