//! Bugs that are planted on purpose, to see that the simulation finds them. Only tests build with the feature `canary`;
//! without it nothing can be planted, and asking costs nothing.

#[cfg(feature = "canary")]
mod planted {
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Plants a bug in this thread, or none.
    pub fn plant(name: Option<&'static str>) {
        PLANTED.set(name);
    }

    /// Whether the bug is planted.
    pub fn is(name: &str) -> bool {
        PLANTED.get().is_some_and(|planted| planted == name)
    }
}

#[cfg(feature = "canary")]
pub use planted::{is, plant};

/// Whether the bug is planted: never.
#[cfg(not(feature = "canary"))]
pub const fn is(_: &str) -> bool {
    false
}
