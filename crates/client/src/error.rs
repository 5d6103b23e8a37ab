//! What can go wrong, told in types: why a client stopped, why one message was not sent.

use std::{error::Error, fmt, sync::Arc};

use hongyan_proto::{CloseCode, code::nack_name};

use crate::certificate::CertificateProblem;

/// What kind of failure a [`ClientError`] is. Match on this; show the error itself to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection to the server could be made in time.
    Unreachable,
    /// The server has shown a certificate that is not accepted, at the first connection. Trying again would end the same
    /// until somebody changes it, or what is trusted here.
    Certificate(CertificateProblem),
    /// The server refused the login: classes 4xxx and 5xxx. Trying again with the same credential would end the same.
    LoginRefused { code: CloseCode },
    /// There is no resume token that the server accepts, and no credential to log in with.
    LoginRequired,
    /// The same device connected from elsewhere.
    Replaced,
    /// One end broke the protocol; the code says which rule.
    ProtocolViolation { code: CloseCode },
    /// The server ended the session after login for another reason that trying again does not change.
    Ended { code: CloseCode },
    /// A request was refused by the server; `code` is a `FailureCode` of the wire.
    RequestFailed { code: i32 },
    /// The local store failed. Nothing more is sent, acked or shown, so that nothing can be lost by it.
    Store,
    /// [`crate::Client::close`] was called, or every handle was dropped.
    Closed,
    /// No answer in time. What was asked may still have happened.
    Timeout,
    /// A setting given to the builder makes no sense.
    Settings,
}

/// Why the client stopped, or why one call failed. Cheap to clone.
#[derive(Clone)]
pub struct ClientError {
    kind: ErrorKind,
    message: Arc<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ClientError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Arc<str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn with(
        kind: ErrorKind,
        message: impl Into<Arc<str>>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self { kind, message: message.into(), source: Some(Arc::new(source)) }
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the client is closed")
    }

    /// What a close code says once its class is Stop or LogInAgain.
    pub(crate) fn from_close(code: CloseCode, reason: &str, logged_in: bool) -> Self {
        let text = reason_text(reason);
        match code {
            CloseCode::REPLACED => {
                let what =
                    "this device connected again elsewhere and took over; use another device name to run side by side";
                Self::new(ErrorKind::Replaced, what)
            }
            CloseCode(4000..=4009) => {
                Self::new(ErrorKind::ProtocolViolation { code }, format!("the protocol was broken: {code}{text}"))
            }
            _ if logged_in => {
                Self::new(ErrorKind::Ended { code }, format!("the server ended the session: {code}{text}"))
            }
            _ => Self::new(ErrorKind::LoginRefused { code }, format!("the login was refused: {code}{text}")),
        }
    }

    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }
}

/// A peer's reason as an appendix to a message; nothing if it gave none.
pub(crate) fn reason_text(reason: &str) -> String {
    // Quotes are harmless, and common in what is meant for people.
    let escaped = reason.chars().map(|c| match c {
        '\'' | '"' => c.to_string(),
        c => c.escape_debug().to_string(),
    });
    if reason.is_empty() { String::new() } else { format!(" ({})", escaped.collect::<String>()) }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientError({:?}: {self})", self.kind)
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

/// Why a message was not sent.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The server will never take it; the number is used up. `code` is a `NackCode` of the wire, from 16 on.
    #[error("the server refused the message: {}{}", nack_name(*code), reason_text(reason))]
    Refused { code: i32, reason: String },
    /// Larger than the server allows; it was not queued.
    #[error("the message has {len} bytes of content, the server allows {max}")]
    TooLarge { len: usize, max: usize },
    /// The outbox holds as many messages as it may, those whose Sent event was not taken included; it was not queued.
    /// Wait for answers, take events, then try again.
    #[error("the outbox is full: {queued} messages wait for the server's answer")]
    OutboxFull { queued: usize },
    /// No message was ever queued under this number, or its answer is older than those that are kept.
    #[error("no answer is known for send_no {send_no}")]
    Unknown { send_no: u64 },
    /// The client stopped first. A message that was queued stays in the store, and is sent when a client opens it again.
    #[error(transparent)]
    Closed(#[from] ClientError),
}
