//! Where things are written: data to stdout, messages to stderr.

use std::io::{self, IsTerminal, Write};

use hongyan_client::Entry;
use serde::Serialize;

use crate::{args::Global, record::Record, text};

/// How this run talks.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
    /// Dim what is not data, on a terminal that takes it.
    pub color: bool,
    pub quiet: bool,
}

impl Output {
    pub fn new(global: &Global) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let color = io::stdout().is_terminal() && !set("NO_COLOR") && !dumb;
        Self { json: global.json, color, quiet: global.quiet }
    }

    /// One line of data, written at once and whole.
    pub fn line(&self, line: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(format!("{line}\n").as_bytes())?;
        out.flush()
    }

    /// One JSON object in a line.
    pub fn record(&self, record: &impl Serialize) -> io::Result<()> {
        self.line(&json_line(record))
    }

    /// A message to the person, unless they asked for quiet.
    pub fn note(&self, message: &str) {
        if !self.quiet {
            self.error(message);
        }
    }

    /// A message that is always shown. Nothing can be done if stderr is gone.
    pub fn error(&self, message: &str) {
        let _ = io::stderr().lock().write_all(format!("hongyan-cli: {message}\n").as_bytes());
    }

    /// Beside the point, so less bright.
    pub fn dim(&self, text: &str) -> String {
        if self.color { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A record as one line. JSON itself escapes only some of what a terminal obeys.
pub fn json_line(record: &impl Serialize) -> String {
    text::harmless_json(&serde_json::to_string(record).expect("records have string keys and plain values"))
}

impl Output {
    /// A message, or what was done, as data.
    pub fn entry(&self, entry: &Entry) -> io::Result<()> {
        if self.json { self.record(&Record::entry(entry)) } else { self.line(&text::entry_line(entry)) }
    }
}
