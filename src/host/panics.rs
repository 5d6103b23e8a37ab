//! Panics, of which each is a bug: logged as everything is, and counted. What becomes of the task is decided where it runs: a
//! connection ends alone; the server goes where one ends that it cannot do without.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, PanicHookInfo},
    thread,
};

use prometheus_client::metrics::counter::Counter;

/// Has every panic of this process noted from now on, and printed no more.
pub fn note(counter: Counter) {
    panic::set_hook(Box::new(move |panic| on_panic(panic, &counter)));
}

pub(super) fn on_panic(panic: &PanicHookInfo<'_>, counter: &Counter) {
    counter.inc();
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let what = panic.payload_as_str().unwrap_or("it did not say why");
    // There is one if the operator's environment asks for it.
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => tracing::error!(thread, at, what, %backtrace, "a panic: this is a bug"),
        _ => tracing::error!(thread, at, what, "a panic: this is a bug"),
    }
}
