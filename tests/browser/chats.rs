//! People talk with each other.

use crate::{chrome::Chrome, page::Page, server::TestServer};

pub const PASSWORD: &str = "correct horse";

/// Two people in one browser: pages of different origins share nothing.
pub async fn alice_and_bob(server: &TestServer, chrome: &Chrome) -> (Page, Page) {
    for uid in ["alice", "bob"] {
        server.add_user(uid, PASSWORD);
    }
    let port = server.http().port();
    let alice = chrome.open(&format!("http://127.0.0.1:{port}/")).await;
    let bob = chrome.open(&format!("http://localhost:{port}/")).await;
    alice.log_in("alice", PASSWORD).await;
    bob.log_in("bob", PASSWORD).await;
    (alice, bob)
}

#[tokio::test]
async fn two_pages_chat() {
    let Some(chrome) = Chrome::start().await else { return };
    let server = TestServer::start();
    let (alice, bob) = alice_and_bob(&server, &chrome).await;
    alice.talk_to("bob").await;
    alice.say("dinner at eight?").await;
    bob.until("document.querySelector('#lines .unread')?.textContent === '1'").await;
    bob.click("#lines button").await;
    bob.until_texts(&["dinner at eight?"]).await;
    alice.until_seen(".tick.read").await;
    bob.until("!document.querySelector('#lines .unread')").await;
    bob.say("gladly").await;
    alice.until_texts(&["dinner at eight?", "gladly"]).await;
    chrome.assert_quiet(&[]);
    server.assert_healthy();
}
