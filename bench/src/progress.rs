//! The progress bar on stderr. Nothing is shown where stderr is no terminal.

use std::borrow::Cow;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that runs to `total`.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new(what: impl Into<Cow<'static, str>>, total: u64) -> Self {
        let style = ProgressStyle::with_template("{msg:16} [{bar:40}] {pos}/{len} {elapsed}");
        let bar = ProgressBar::new(total).with_message(what);
        bar.set_style(style.expect("the template is valid").progress_chars("=> "));
        Self(bar)
    }

    pub fn set(&self, position: u64) {
        self.0.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
