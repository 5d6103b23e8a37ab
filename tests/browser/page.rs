//! One window of the browser: what a person sees and does there.

use std::sync::Arc;

use fantoccini::{
    Client, Locator,
    actions::{InputSource, KeyAction, KeyActions},
    key::Key,
    wd::WindowHandle,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// Calls back when a condition holds, looked at whenever the page has changed.
const UNTIL: &str = "
    const [condition, done] = arguments;
    const holds = new Function(`return (${condition})`);
    const look = () => {
        const value = holds();
        if (!value) return false;
        observer.disconnect();
        done(value);
        return true;
    };
    const observer = new MutationObserver(look);
    if (!look()) observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
";

pub struct Page {
    client: Client,
    window: WindowHandle,
    /// The driver works on one window at a time.
    driving: Arc<Mutex<()>>,
}

impl Page {
    pub fn new(client: Client, window: WindowHandle, driving: Arc<Mutex<()>>) -> Self {
        Self { client, window, driving }
    }

    pub async fn go(&self, url: &str) {
        let _driving = self.switch().await;
        self.client.goto(url).await.unwrap();
    }

    pub async fn reload(&self) {
        let _driving = self.switch().await;
        self.client.refresh().await.unwrap();
    }

    pub async fn close(self) {
        let _driving = self.switch().await;
        self.client.close_window().await.unwrap();
    }

    async fn switch(&self) -> tokio::sync::MutexGuard<'_, ()> {
        let driving = self.driving.lock().await;
        self.client.switch_to_window(self.window.clone()).await.unwrap();
        driving
    }

    // ------------------------------------------------------------ what there is

    /// Waits until an expression is true in the page, and gives what it is.
    pub async fn until(&self, condition: &str) -> Value {
        let _driving = self.switch().await;
        match self.client.execute_async(UNTIL, vec![json!(condition)]).await {
            Ok(value) => value,
            Err(error) => {
                let shown = self.client.execute("return document.body.innerText", vec![]).await;
                panic!("not within the deadline: {condition}: {error}\n{}", shown.unwrap_or_default());
            }
        }
    }

    /// Waits until an element stands there that can be seen.
    pub async fn until_seen(&self, css: &str) {
        self.until(&format!("document.querySelector({css:?})?.checkVisibility()")).await;
    }

    /// Waits until the open conversation shows exactly these messages.
    pub async fn until_texts(&self, texts: &[&str]) {
        self.until(&format!("JSON.stringify({TEXTS}) === {:?}", json!(texts).to_string())).await;
    }

    pub async fn evaluate(&self, expression: &str) -> Value {
        let _driving = self.switch().await;
        self.client.execute(&format!("return {expression}"), vec![]).await.unwrap()
    }

    pub async fn screenshot(&self) -> Vec<u8> {
        let _driving = self.switch().await;
        self.client.screenshot().await.unwrap()
    }

    // ------------------------------------------------------------ what a person does

    pub async fn click(&self, css: &str) {
        self.until_seen(css).await;
        let _driving = self.switch().await;
        self.client.find(Locator::Css(css)).await.unwrap().click().await.unwrap();
    }

    pub async fn write(&self, css: &str, text: &str) {
        self.until_seen(css).await;
        let _driving = self.switch().await;
        self.client.find(Locator::Css(css)).await.unwrap().send_keys(text).await.unwrap();
    }

    /// A key for whatever has the focus.
    pub async fn press(&self, key: char) {
        let _driving = self.switch().await;
        let keys = KeyActions::new("keyboard".into());
        let keys = keys.then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
        self.client.perform_actions(keys).await.unwrap();
    }

    /// For what shows itself only under the mouse.
    pub async fn click_by_script(&self, css: &str) {
        self.until(&format!("document.querySelector({css:?})")).await;
        self.evaluate(&format!("document.querySelector({css:?}).click()")).await;
    }

    pub async fn resize(&self, width: u32, height: u32) {
        let _driving = self.switch().await;
        self.client.set_window_size(width, height).await.unwrap();
    }

    pub async fn log_in(&self, uid: &str, password: &str) {
        self.write("#login-form [name=uid]", uid).await;
        self.write("#login-form [name=password]", password).await;
        self.click("#login-form [type=submit]").await;
        self.until_online().await;
    }

    pub async fn until_online(&self) {
        self.until_seen("#dot.online").await;
    }

    /// Opens the conversation with somebody, new or not.
    pub async fn talk_to(&self, name: &str) {
        self.write("#find-name", &format!("{name}{}", Key::Enter)).await;
        self.until(&format!("document.querySelector('#title').textContent === {name:?}")).await;
    }

    pub async fn say(&self, text: &str) {
        self.write("#text", &format!("{text}{}", Key::Enter)).await;
    }

    /// By this way from now on.
    pub async fn choose_way(&self, way: &str) {
        self.evaluate(&format!(
            "(() => {{ const way = document.querySelector('#way'); way.value = {way:?}; \
             way.dispatchEvent(new Event('change')); }})()"
        ))
        .await;
        let title = format!("document.querySelector('#way [value={way}]').textContent");
        self.until(&format!("document.querySelector('#way-now').textContent === 'Online · ' + {title}")).await;
    }
}

const TEXTS: &str = "[...document.querySelectorAll('#messages .text')].map((text) => text.textContent)";
