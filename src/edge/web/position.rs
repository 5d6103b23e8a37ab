//! A place in a log, and its text: `epoch-useq`, the id of an event, or a bare `useq`.

use std::{
    fmt::{self, Display, Formatter},
    num::ParseIntError,
    str::FromStr,
};

/// Behind which entry a reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Tells logs apart. None: whichever log there is.
    pub log_epoch: Option<u64>,
    pub useq: u64,
}

impl Display for Position {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.log_epoch {
            Some(epoch) => write!(f, "{epoch}-{}", self.useq),
            None => write!(f, "{}", self.useq),
        }
    }
}

impl FromStr for Position {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        match text.split_once('-') {
            Some((epoch, useq)) => Ok(Self { log_epoch: Some(epoch.parse()?), useq: useq.parse()? }),
            None => Ok(Self { log_epoch: None, useq: text.parse()? }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        for (text, position) in [
            ("0", Position { log_epoch: None, useq: 0 }),
            ("7-5", Position { log_epoch: Some(7), useq: 5 }),
            ("18446744073709551615-18446744073709551615", Position { log_epoch: Some(u64::MAX), useq: u64::MAX }),
        ] {
            assert_eq!(text.parse(), Ok(position));
            assert_eq!(position.to_string(), text);
        }
        for wrong in ["", "-", "-5", "7-", "7-5-3", "a", "18446744073709551616"] {
            assert!(wrong.parse::<Position>().is_err(), "{wrong}");
        }
    }
}
