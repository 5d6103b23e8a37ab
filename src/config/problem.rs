//! What is wrong with a configuration, told to the person who wrote it.

use std::fmt;

/// One thing to put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `limits.max_frame`, or the file that could not be read.
    pub subject: String,
    /// Where the value came from: a file, a variable, a flag, or the defaults.
    pub source: Option<String>,
    /// The value as it was given; none where it should not be shown.
    pub value: Option<String>,
    /// What is allowed, or what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.subject)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Everything that is wrong with a configuration; never empty. Nothing of it has taken effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration has a problem:")?,
            n => write!(f, "the configuration has {n} problems:")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
