//! Chromium and its driver: started for one test, with a profile of its own, and gone with it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use fantoccini::{Client, ClientBuilder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::page::Page;

const SWITCHES: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--ignore-certificate-errors",
    "--enable-logging",
    "--window-size=1100,760",
];

/// One browser, with however many windows and tabs.
pub struct Chrome {
    client: Client,
    driving: Arc<Mutex<()>>,
    profile: TempDir,
    driver: Child,
}

impl Chrome {
    /// None: there is no browser here, and none is required.
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// The same with more switches.
    pub async fn start_with(more: &[&str]) -> Option<Self> {
        let profile = tempfile::Builder::new().prefix("hy-chrome").tempdir().unwrap();
        let mut driver = match Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
        {
            Ok(driver) => driver,
            Err(error) => {
                let missing = format!(
                    "no browser tests: chromedriver: {error}. On Debian: apt-get install chromium chromium-driver"
                );
                assert!(std::env::var("HONGYAN_TEST_BROWSER").is_err(), "{missing}");
                eprintln!("SKIPPED, {missing}");
                return None;
            }
        };
        // The pipe stays open, for the driver would not survive to write into a closed one.
        let lines = BufReader::new(driver.stdout.as_mut().unwrap()).lines().map_while(Result::ok);
        let mut ports =
            lines.filter_map(|line| line.split_once("started successfully on port ").map(|(_, port)| port.to_owned()));
        let port: u16 =
            ports.next().and_then(|port| port.trim_end_matches('.').parse().ok()).expect("chromedriver says its port");
        let own = [
            format!("--user-data-dir={}", profile.path().display()),
            format!("--log-file={}", log(&profile).display()),
        ];
        let switches: Vec<_> = SWITCHES.iter().chain(more).map(|switch| (*switch).to_owned()).chain(own).collect();
        let capabilities = json!({ "goog:chromeOptions": { "args": switches }, "timeouts": { "script": 40_000 }, "acceptInsecureCerts": true });
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities.as_object().unwrap().clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("chromedriver starts chromium");
        Some(Self { client, driving: Arc::default(), profile, driver })
    }

    /// A new window on `url`.
    pub async fn open(&self, url: &str) -> Page {
        let window = {
            let _driving = self.driving.lock().await;
            // The one that was driven last may be closed.
            let any = self.client.windows().await.unwrap().swap_remove(0);
            self.client.switch_to_window(any).await.unwrap();
            self.client.new_window(false).await.unwrap().handle
        };
        let page = Page::new(self.client.clone(), window, self.driving.clone());
        page.go(url).await;
        page
    }

    /// What pages and workers have written to their consoles, refusals by the content security policy included.
    pub fn console(&self) -> Vec<String> {
        let text = fs::read(log(&self.profile)).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect()
    }

    /// Nothing was complained about but what `expected` names.
    pub fn assert_quiet(&self, expected: &[&str]) {
        let complaints = self.console();
        let unexpected: Vec<_> =
            complaints.iter().filter(|line| !expected.iter().any(|part| line.contains(part))).collect();
        assert!(unexpected.is_empty(), "{unexpected:#?}");
    }
}

fn log(profile: &TempDir) -> PathBuf {
    profile.path().join("console.log")
}

impl Drop for Chrome {
    fn drop(&mut self) {
        // Whatever the driver has started names the profile, which is this test's alone.
        let profile = self.profile.path().to_str().unwrap().to_owned();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        for entry in fs::read_dir("/proc").unwrap().map_while(Result::ok) {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            if String::from_utf8_lossy(&command).contains(&profile)
                && let Some(id) = id
            {
                let _ = kill_process(id, Signal::KILL);
            }
        }
    }
}
