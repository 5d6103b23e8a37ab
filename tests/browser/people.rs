//! What people do on the page besides writing: coming in, changing their minds, looking back.

use fantoccini::key::Key;
use rustix::process::Signal;
use serde_json::json;

use crate::{chats::alice_and_bob, chrome::Chrome, http::Request, server::TestServer};

#[tokio::test]
async fn people_come_in_by_password_by_token_or_as_new_ones() {
    let Some(chrome) = Chrome::start().await else { return };
    let server = TestServer::with("[web]\nregistration = true\n");
    let url = |host: &str| format!("http://{host}:{}/", server.http().port());
    let carol = chrome.open(&url("127.0.0.1")).await;
    carol.click("#login-new input").await;
    carol.write("[name=uid]", "carol").await;
    carol.write("[name=password]", &format!("short{}", Key::Enter)).await;
    carol.until("document.querySelector('#login-reason').textContent.includes('8')").await;
    carol.write("[name=password]", &format!(" is too short{}", Key::Enter)).await;
    carol.until_online().await;
    assert_eq!(carol.evaluate("document.querySelector('#me').textContent").await, "carol");

    let dave = chrome.open(&url("localhost")).await;
    dave.click("[name=with][value=token]").await;
    dave.write("[name=token]", &server.token("dave")).await;
    dave.click("#login-form [type=submit]").await;
    dave.until_online().await;
    // A reload needs no login; a logout leaves nothing behind.
    dave.reload().await;
    dave.until_online().await;
    dave.evaluate("(window.confirm = () => true, null)").await;
    dave.click("#log-out").await;
    dave.until_seen("#login-form").await;
    dave.reload().await;
    dave.until_seen("#login-form").await;
    chrome.assert_quiet(&["status of 400"]);
    server.assert_healthy();
}

#[tokio::test]
async fn where_accounts_are_made_by_the_operator_none_is_offered() {
    let Some(chrome) = Chrome::start().await else { return };
    let server = TestServer::start();
    let page = chrome.open(&format!("http://127.0.0.1:{}/", server.http().port())).await;
    page.write("[name=uid]", "nobody").await;
    page.write("[name=password]", &format!("anything{}", Key::Enter)).await;
    page.until("document.querySelector('#login-reason').textContent.includes('unknown user')").await;
    assert_eq!(page.evaluate("document.querySelector('#login-new').hidden").await, json!(true));
    let off = TestServer::with("[web]\npage = false\n");
    assert_eq!((off.get("/").0, off.get("/page/style.css").0), (404, 404));
    server.assert_healthy();
}

#[tokio::test]
async fn a_message_is_changed_taken_back_and_answered_by_keyboard() {
    let Some(chrome) = Chrome::start().await else { return };
    let server = TestServer::start();
    let (alice, bob) = alice_and_bob(&server, &chrome).await;
    alice.talk_to("bob").await;
    bob.talk_to("alice").await;
    alice.write("#text", "s").await;
    bob.until("document.querySelector('#subtitle').textContent === 'alice is writing…'").await;
    // A message that has the focus while it waits has it when it is sent.
    server.signal(Signal::STOP);
    alice.say("even o'clock?").await;
    alice.write("#text", &Key::Up.to_string()).await;
    alice.until("document.activeElement.matches('.message[data-send]')").await;
    server.signal(Signal::CONT);
    bob.until_texts(&["seven o'clock?"]).await;
    let newest = "document.activeElement.matches('.message:not([data-send])')";
    alice.until(newest).await;
    alice.press('e').await;
    alice.until("document.activeElement.id === 'text'").await;
    alice.say(" Or eight?").await;
    bob.until_texts(&["seven o'clock? Or eight?"]).await;
    bob.until("document.querySelector('.foot').textContent.startsWith('edited')").await;
    bob.write("#text", &Key::Up.to_string()).await;
    bob.until(newest).await;
    bob.press('r').await;
    bob.say("eight").await;
    alice.until("document.querySelector('.quote')?.textContent === \"You seven o'clock? Or eight?\"").await;
    bob.write("#text", &Key::Up.to_string()).await;
    bob.until(newest).await;
    bob.press(Key::Delete.into()).await;
    alice.until_texts(&["seven o'clock? Or eight?", "This message was taken back"]).await;
    alice.click_by_script(".message .tools [title='React with 👍']").await;
    bob.until("document.querySelector('.reactions')?.textContent === '👍 1'").await;
    alice.click_by_script(".reactions button").await;
    bob.until("!document.querySelector('.reactions')").await;
    chrome.assert_quiet(&[]);
    server.assert_healthy();
}

#[tokio::test]
async fn what_is_too_long_is_given_back_and_holds_up_nothing() {
    let Some(chrome) = Chrome::start().await else { return };
    let server = TestServer::start();
    let (alice, bob) = alice_and_bob(&server, &chrome).await;
    alice.talk_to("bob").await;
    bob.talk_to("alice").await;
    for way in ["websocket", "long"] {
        alice.choose_way(way).await;
        // What the way before was told stays for a while, and is not this one's.
        alice.evaluate("(document.querySelector('#notice').replaceChildren(), null)").await;
        alice.evaluate("(document.querySelector('#text').value = '雁'.repeat(11_000), null)").await;
        alice.click("#say").await;
        alice.until("document.querySelector('#notice').textContent.includes('32768')").await;
        alice.until("document.querySelector('#text').value.length === 11_000").await;
        alice.evaluate("(document.querySelector('#text').value = '', null)").await;
        alice.say(way).await;
    }
    bob.until_texts(&["websocket", "long"]).await;
    server.assert_healthy();
}

#[tokio::test]
async fn what_was_written_is_sent_by_the_next_tab() {
    let Some(chrome) = Chrome::start().await else { return };
    let mut server = TestServer::start();
    let (alice, bob) = alice_and_bob(&server, &chrome).await;
    alice.talk_to("bob").await;
    bob.talk_to("alice").await;
    server.kill();
    for text in ["one", "two"] {
        alice.say(text).await;
    }
    alice.until("document.querySelectorAll('.tick.waiting').length === 2").await;
    alice.close().await;
    server.restart();
    let alice = chrome.open(&format!("http://127.0.0.1:{}/", server.http().port())).await;
    bob.until_texts(&["one", "two"]).await;
    alice.click("#lines button").await;
    alice.until_texts(&["one", "two"]).await;
    server.assert_healthy();
}

#[tokio::test]
async fn what_was_said_long_ago_comes_on_scrolling_up() {
    let Some(chrome) = Chrome::start().await else { return };
    let server = TestServer::start();
    let (alice, _bob) = alice_and_bob(&server, &chrome).await;
    let login = json!({ "token": server.token("bob"), "device": "script" });
    let welcome = Request::post("/v1/login", &login).send(server.http()).ok();
    for number in 1..=130 {
        let message = json!({ "to": "alice", "text": format!("message {number}") });
        Request::post("/v1/messages", &message).bearer(welcome["token"].as_str().unwrap()).send(server.http()).ok();
    }
    alice.until("document.querySelector('.unread')?.textContent === '130'").await;
    alice.click("#lines button").await;
    let first = "document.querySelector('#messages .text')?.textContent";
    alice.until(&format!("{first} === 'message 81'")).await;
    for expected in [31, 1] {
        alice.evaluate("(document.querySelector('#scroller').scrollTop = 0, null)").await;
        alice.until(&format!("{first} === 'message {expected}'")).await;
    }
    let texts: Vec<_> = (1..=130).map(|number| format!("message {number}")).collect();
    alice.until_texts(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    alice.until_seen("#messages").await;
    chrome.assert_quiet(&[]);
    server.assert_healthy();
}
