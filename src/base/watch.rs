//! Tasks that a server cannot do without. Each runs until it is told to stop; one that ends before, or panics, would leave a
//! server that listens and serves nobody. So its end is logged, kept, and told to whoever waits for it.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
};

use futures_util::FutureExt;
use hongyan_proto::canary;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Keeps an eye on tasks. Its clones are one.
#[derive(Clone, Default)]
pub struct Watch(Arc<Watched>);

#[derive(Default)]
struct Watched {
    first: OnceLock<Death>,
    has_died: CancellationToken,
}

/// Tasks of the runtime that are told to stop together, and not before.
pub struct Tasks {
    watch: Watch,
    stop: CancellationToken,
    running: TaskTracker,
}

/// A task has ended that nobody had told to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{task} {how}")]
pub struct Death {
    /// Which, as in "the committer".
    pub task: &'static str,
    /// In the words of a log: a panic says what it says.
    pub how: String,
}

impl Watch {
    /// Runs `run` on this thread, watched: it may return when `is_told` by then. None: it has panicked.
    pub fn thread<T>(&self, task: &'static str, is_told: impl Fn() -> bool, run: impl FnOnce() -> T) -> Option<T> {
        let (value, ended) = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(value) => (Some(value), Ok(())),
            Err(panic) => (None, Err(panic)),
        };
        self.judge(task, is_told(), ended);
        value
    }

    /// The first task that has ended as none should. None: all do what they are there for.
    pub fn death(&self) -> Option<&Death> {
        self.0.first.get()
    }

    /// Ready when one has.
    pub async fn first_death(&self) {
        self.0.has_died.cancelled().await;
    }

    fn judge(&self, task: &'static str, was_told: bool, ended: Result<(), Box<dyn Any + Send>>) {
        let how = match ended {
            Ok(()) if was_told => return,
            Ok(()) => "ended, and nobody had told it to".to_owned(),
            Err(panic) => format!("panicked: {}", words(&*panic)),
        };
        tracing::error!(task, how, "a task has ended that the server cannot do without");
        let _ = self.0.first.set(Death { task, how });
        self.0.has_died.cancel();
    }
}

impl Tasks {
    /// None yet.
    pub fn new(watch: Watch) -> Self {
        Self { watch, stop: CancellationToken::new(), running: TaskTracker::new() }
    }

    /// Starts a task; `make` is given what tells it to stop.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(
        &self,
        task: &'static str,
        make: impl FnOnce(CancellationToken) -> F,
    ) {
        let (watch, stop, running) = (self.watch.clone(), self.stop.clone(), make(self.stop.clone()));
        self.running.spawn(async move {
            let running = async {
                assert!(!canary::is(task), "planted");
                running.await;
            };
            // Nobody looks at what a panic leaves half-done, but for what is under locks that allow for it.
            let ended = AssertUnwindSafe(running).catch_unwind().await;
            watch.judge(task, stop.is_cancelled(), ended);
        });
    }

    /// Tells them to stop, and waits until they have.
    pub async fn end(&self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it did not say why")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(task: &'static str, how: &str) -> Option<Death> {
        Some(Death { task, how: how.into() })
    }

    #[tokio::test]
    async fn a_task_that_ends_untold_is_a_death_and_the_first_is_kept() {
        let watch = Watch::default();
        let tasks = Tasks::new(watch.clone());
        tasks.spawn("the cook", |_| async {});
        watch.first_death().await;
        let expected = death("the cook", "ended, and nobody had told it to");
        assert_eq!(watch.death().cloned(), expected);
        tasks.spawn("the waiter", |_| async { panic!("no {}", "table") });
        tasks.end().await;
        assert_eq!(watch.death().cloned(), expected);
    }

    #[tokio::test]
    async fn a_task_that_is_told_to_end_may_and_a_panic_is_a_death_all_the_same() {
        let watch = Watch::default();
        let tasks = Tasks::new(watch.clone());
        tasks.spawn("the cook", |stop| async move { stop.cancelled().await });
        tasks.end().await;
        assert_eq!(watch.death(), None);
        let tasks = Tasks::new(watch.clone());
        tasks.spawn("the waiter", |stop| async move {
            stop.cancelled().await;
            panic!("no {}", "table")
        });
        tasks.end().await;
        assert_eq!(watch.death().cloned(), death("the waiter", "panicked: no table"));
    }

    #[test]
    fn a_thread_is_watched_alike() {
        let watch = Watch::default();
        assert_eq!(watch.thread("the cook", || true, || 7), Some(7));
        assert_eq!(watch.death(), None);
        assert_eq!(watch.thread("the cook", || false, || 7), Some(7));
        assert_eq!(watch.death().cloned(), death("the cook", "ended, and nobody had told it to"));
        let watch = Watch::default();
        assert_eq!(watch.thread("the cook", || true, || -> u32 { panic!("burnt") }), None);
        assert_eq!(watch.death().cloned(), death("the cook", "panicked: burnt"));
    }
}
