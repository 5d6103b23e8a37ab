//! The wrapper for text that must not be seen: passwords and token secrets.

use zeroize::Zeroizing;

/// Text without `Debug`, `Display` or `Clone`, overwritten with zeros when dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself. Whoever calls this must not log, store or copy it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::{Debug, Display};

    trait Unless<A> {
        fn holds() {}
    }
    struct Printable;
    impl<T> Unless<()> for T {}
    impl<T: Debug> Unless<Printable> for T {}

    trait UnlessDisplay<A> {
        fn holds() {}
    }
    impl<T> UnlessDisplay<()> for T {}
    impl<T: Display> UnlessDisplay<Printable> for T {}

    #[test]
    fn a_secret_cannot_be_printed() {
        // Two candidate implementations, and so no compilation, as soon as Secret gets Debug or Display.
        <Secret as Unless<_>>::holds();
        <Secret as UnlessDisplay<_>>::holds();
        assert_eq!(Secret::from("abc".to_owned()).expose(), "abc");
    }
}
