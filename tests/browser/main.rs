//! The chat page in a real browser: headless Chromium, driven through chromedriver, against the real program.
//!
//! Without these programs the tests are skipped with a line that says so. `HONGYAN_TEST_BROWSER=required`, as .ci/run sets
//! it, makes that a failure. Debian has them: `apt-get install chromium chromium-driver`.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod chats;
mod chrome;
#[path = "../it/web/http.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod http;
mod kills;
mod looks;
mod page;
mod people;
mod scripts;
#[path = "../it/server.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod server;
mod tabs;
