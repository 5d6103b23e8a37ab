//! The server is killed while people talk: their pages come back by themselves, and nothing is lost or doubled.

use serde_json::json;

use crate::{
    chats::{PASSWORD, alice_and_bob},
    chrome::Chrome,
    server::TestServer,
};

/// What browsers say of a server that is not there.
const GONE: [&str; 3] = ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET"];

#[tokio::test]
async fn both_come_back_by_every_way() {
    let Some(chrome) = Chrome::start().await else { return };
    // Only by silence does a page notice that a hidden frame has broken off.
    let mut server = TestServer::with("[web]\nheartbeat = \"1s\"\n");
    let (alice, bob) = alice_and_bob(&server, &chrome).await;
    alice.talk_to("bob").await;
    bob.talk_to("alice").await;
    let mut said = Vec::new();
    for way in ["websocket", "sse", "ndjson", "iframe", "long", "short1"] {
        bob.choose_way(way).await;
        for moment in ["before", "killed", "after"] {
            match moment {
                "killed" => server.kill(),
                "after" => server.restart(),
                _ => {}
            }
            said.push(format!("{way}, {moment}"));
            alice.say(said.last().unwrap()).await;
            if moment == "killed" {
                alice.until_seen("#offline").await;
                alice.until_seen(".tick.waiting").await;
            }
        }
        let said: Vec<_> = said.iter().map(String::as_str).collect();
        for page in [&bob, &alice] {
            page.until_texts(&said).await;
            page.until_online().await;
        }
        alice.until("!document.querySelector('.tick.waiting')").await;
    }
    // What is on disk is what was shown.
    for page in [&alice, &bob] {
        page.reload().await;
        page.until_online().await;
        page.click("#lines button").await;
        page.until_texts(&said.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    chrome.assert_quiet(&GONE);
    server.assert_healthy();
}

#[tokio::test]
async fn an_event_source_resumes_by_itself() {
    let Some(chrome) = Chrome::start().await else { return };
    let mut server = TestServer::start();
    let (alice, bob) = alice_and_bob(&server, &chrome).await;
    // Nothing but the browser's own EventSource, as a device of its own.
    let login = json!({ "uid": "bob", "password": PASSWORD, "device": "plain", "cookie": true });
    bob.evaluate(&format!(
        "(window.got = [], fetch('/v1/login', {{ method: 'POST', headers: {{ 'content-type': 'application/json' }}, body: \
         '{login}' }}).then(() => {{ const source = new EventSource('/v1/events?as=sse&after=0'); source.onmessage = \
         ({{ data, lastEventId }}) => {{ const {{ push }} = JSON.parse(data); if (push) got.push(`${{lastEventId.split('-')[1]}} \
         ${{push.message?.text ?? ''}}`); document.body.dataset.got = got.length; }} }}), null)"
    ))
    .await;
    alice.talk_to("bob").await;
    let mut expected = Vec::new();
    for number in 1..=6 {
        if number % 2 == 0 {
            server.kill();
            server.restart();
        }
        alice.say(&format!("message {number}")).await;
        expected.push(format!("{number} message {number}"));
        bob.until(&format!("document.body.dataset.got >= {number}")).await;
    }
    assert_eq!(bob.evaluate("got").await, json!(expected));
    chrome.assert_quiet(&GONE);
    server.assert_healthy();
}
