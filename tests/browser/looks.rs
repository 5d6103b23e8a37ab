//! How the page looks, for people to look at: `HONGYAN_TEST_SCREENSHOTS=DIRECTORY cargo test --test browser looks`.

use std::path::Path;

use fantoccini::key::Key;

use crate::{chats::alice_and_bob, chrome::Chrome, page::Page, server::TestServer};

#[tokio::test]
async fn screenshots_are_taken_where_they_are_asked_for() {
    let Ok(directory) = std::env::var("HONGYAN_TEST_SCREENSHOTS") else { return };
    let Some(chrome) = Chrome::start().await else { return };
    let server = TestServer::with("[web]\nregistration = true\n");
    let save = |name: &str, png: Vec<u8>| std::fs::write(Path::new(&directory).join(name), png).unwrap();
    let stranger = chrome.open(&format!("http://127.0.0.1:{}/", server.http().port())).await;
    stranger.until_seen("#login-form").await;
    save("login.png", stranger.screenshot().await);
    stranger.close().await;

    let (alice, bob) = alice_and_bob(&server, &chrome).await;
    people_talk(&server, &alice, &bob).await;
    alice.click("#text").await;
    for (name, theme, width, height) in [
        ("light.png", "light", 1100, 760),
        ("dark.png", "dark", 1100, 760),
        ("phone.png", "light", 400, 800),
        ("phone-dark.png", "dark", 400, 800),
    ] {
        alice.resize(width, height).await;
        alice.evaluate(&format!("document.documentElement.className = {theme:?}")).await;
        save(name, alice.screenshot().await);
    }
    alice.click("#back").await;
    save("phone-list.png", alice.screenshot().await);
    alice.resize(1100, 760).await;
    alice.click("#ways summary").await;
    for way in ["short1", "sse", "long"] {
        alice.choose_way(way).await;
        bob.say(&format!("over {way}")).await;
        alice.until(&format!("document.querySelector('.last').textContent.includes('over {way}')")).await;
    }
    alice.until("document.querySelectorAll('#figures tr').length > 3").await;
    alice.click("#lines button").await;
    save("ways.png", alice.screenshot().await);
}

/// A conversation with something of everything.
async fn people_talk(server: &TestServer, alice: &Page, bob: &Page) {
    for uid in ["carol", "dave"] {
        server.token(uid);
    }
    bob.talk_to("alice").await;
    bob.say("The geese are back on the lake").await;
    bob.say("At least forty of them, since this morning").await;
    alice.talk_to("bob").await;
    alice.until_texts(&["The geese are back on the lake", "At least forty of them, since this morning"]).await;
    alice.say("So early this year! Shall we go and count them on Saturday?").await;
    bob.until("document.querySelectorAll('#messages .text').length === 3").await;
    bob.write("#text", &Key::Up.to_string()).await;
    bob.until("document.activeElement.matches('.message')").await;
    bob.press('r').await;
    bob.say("Gladly. I bring the telescope").await;
    alice.until_seen(".quote").await;
    alice.click_by_script(".message:last-child .tools button:nth-child(2)").await;
    alice.until_seen(".reactions").await;
    alice.say("And I bring tea. Eight o'clock at the boathouse?").await;
    for (to, text) in [("carol", "Did you get the photographs?"), ("dave", "See you on Monday")] {
        alice.talk_to(to).await;
        alice.say(text).await;
        alice.until_seen(".tick.sent").await;
    }
    alice.talk_to("bob").await;
    bob.until("document.querySelectorAll('#messages .text').length === 5").await;
    alice.until("[...document.querySelectorAll('.tick')].at(-1).matches('.read')").await;
}
