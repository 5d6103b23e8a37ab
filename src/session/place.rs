//! A place in a log, and its text: `epoch-useq`, the id of an event, or a bare `useq`. The answer of a poll that held what has
//! no number says where to go on as `epoch-useq-proof`: whoever brings that has got the answer.

use std::{
    fmt::{self, Display, Formatter},
    num::ParseIntError,
    str::FromStr,
};

/// Behind which entry a reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Tells logs apart. None: whichever log there is.
    pub log_epoch: Option<u64>,
    pub useq: u64,
    /// Of a reader whose every word has arrived.
    pub proves: Option<u64>,
}

impl Place {
    /// In whichever log there is.
    pub fn behind(useq: u64) -> Self {
        Self { log_epoch: None, useq, proves: None }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.log_epoch.map_or(Ok(()), |epoch| write!(f, "{epoch}-"))?;
        write!(f, "{}", self.useq)?;
        self.proves.map_or(Ok(()), |proof| write!(f, "-{proof}"))
    }
}

impl FromStr for Place {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let Some((epoch, useq)) = text.split_once('-') else { return Ok(Self::behind(text.parse()?)) };
        let (useq, proof) = match useq.split_once('-') {
            Some((useq, proof)) => (useq, Some(proof.parse()?)),
            None => (useq, None),
        };
        Ok(Self { log_epoch: Some(epoch.parse()?), useq: useq.parse()?, proves: proof })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let max = u64::MAX;
        for (text, place) in [
            ("0", Place::behind(0)),
            ("7-5", Place { log_epoch: Some(7), ..Place::behind(5) }),
            ("7-5-3", Place { log_epoch: Some(7), useq: 5, proves: Some(3) }),
            (&format!("{max}-{max}-{max}"), Place { log_epoch: Some(max), useq: max, proves: Some(max) }),
        ] {
            assert_eq!(text.parse(), Ok(place));
            assert_eq!(place.to_string(), text);
        }
        for wrong in ["", "-", "-5", "7-", "7-5-", "7-5-3-1", "a", "18446744073709551616"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
