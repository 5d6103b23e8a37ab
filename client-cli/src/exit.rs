//! How the program ends: the exit codes, and the failure that carries one together with what to tell the person.

use std::{fmt, io, process::ExitCode};

use hongyan_client::{ClientError, ErrorKind, InvalidId, SendError, StoreError};

/// The exit codes, for scripts. They never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done. Also when whoever read our output stopped reading.
    Done = 0,
    /// The server refused a message or a request, or ended the session.
    Refused = 1,
    /// What was typed, or a file that was given, makes no sense. Nothing was sent.
    Usage = 2,
    /// No connection to the server could be made, or it is not to be trusted.
    Unreachable = 3,
    /// The server did not accept who we said we are, or there was nothing to say it with.
    LoginRefused = 4,
    /// The time given by `--timeout` was over first.
    TimedOut = 5,
    /// Something on this machine failed: the state directory, a store, a file, the terminal.
    Local = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command ends early. An empty message means that there is nothing to add.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub fn local(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::new(Exit::Local, format!("{what}: {error}"))
    }
}

/// Which exit code a failure of the client means.
pub fn exit_of(kind: &ErrorKind) -> Exit {
    match kind {
        ErrorKind::Unreachable | ErrorKind::Certificate(_) => Exit::Unreachable,
        ErrorKind::LoginRefused { .. } | ErrorKind::LoginRequired => Exit::LoginRefused,
        ErrorKind::Timeout => Exit::TimedOut,
        ErrorKind::Settings => Exit::Usage,
        ErrorKind::Store => Exit::Local,
        // Replaced, ProtocolViolation, Ended, RequestFailed, Closed, and what later versions of the client may add.
        _ => Exit::Refused,
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::new(exit_of(error.kind()), error.to_string())
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Closed(error) => error.into(),
            error => Self::new(Exit::Refused, error.to_string()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(Exit::Local, error.to_string())
    }
}

impl From<InvalidId> for Failure {
    fn from(error: InvalidId) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<io::Error> for Failure {
    /// A reader that has gone away (`hongyan-cli listen | head -1`) is no failure.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Done, ""),
            _ => Self::new(Exit::Local, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use hongyan_client::{CertificateProblem, CloseCode};

    use super::*;

    #[test]
    fn every_kind_of_failure_has_its_code() {
        let code = CloseCode::BAD_CREDENTIALS;
        for (kind, exit) in [
            (ErrorKind::Unreachable, 3),
            (ErrorKind::Certificate(CertificateProblem::UnknownIssuer), 3),
            (ErrorKind::LoginRefused { code }, 4),
            (ErrorKind::LoginRequired, 4),
            (ErrorKind::Timeout, 5),
            (ErrorKind::Settings, 2),
            (ErrorKind::Store, 6),
            (ErrorKind::Replaced, 1),
            (ErrorKind::Ended { code }, 1),
            (ErrorKind::ProtocolViolation { code }, 1),
            (ErrorKind::RequestFailed { code: 16 }, 1),
        ] {
            assert_eq!(exit_of(&kind) as u8, exit, "{kind:?}");
        }
    }

    #[test]
    fn a_broken_pipe_is_success_and_other_io_is_not() {
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)), Failure::new(Exit::Done, ""));
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::StorageFull)).exit, Exit::Local);
        let refused = SendError::Refused { code: 16, reason: String::new() };
        assert_eq!(Failure::from(refused).exit, Exit::Refused);
    }
}
