//! What a client is told at its start: where the server is, who logs in and how, where this device keeps its state.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use hongyan_proto::{DeviceName, Uid, client::Settings};

use crate::store::{LocalStore, MemoryStore};

/// A token or password. Its Debug shows nothing of it.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What proves who this is.
#[derive(Clone, Debug, Default)]
pub enum Credential {
    /// A JSON Web Token, at most 4,096 bytes.
    Token(Secret),
    /// At most 1,024 bytes. Needs [`crate::Builder::uid`].
    Password(Secret),
    /// Only the resume token in the store; without one that the server accepts the client ends with LoginRequired.
    #[default]
    None,
}

/// Where a device begins that has no place in the log yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// Where the server remembers this device; a device it has never seen gets everything that is kept.
    #[default]
    Remembered,
    /// Only what is new from now on.
    Head,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the server.
    In,
    /// To the server.
    Out,
}

/// Sees the bytes of the wire as they are read and written, in pieces of any length. The first byte out of each
/// connection begins its preface. They contain credentials.
pub type FrameTrace = Arc<dyn Fn(Direction, &[u8]) + Send + Sync>;

/// Everything that a [`crate::Builder`] collects; its calls say what each means.
pub(crate) struct ClientSettings {
    pub server: String,
    pub device: Option<DeviceName>,
    pub credential: Credential,
    pub uid: Option<Uid>,
    pub store: Box<dyn LocalStore>,
    pub start: StartAt,
    pub ephemeral: bool,
    pub agent: String,
    pub grease: bool,
    /// The protocol's waiting times.
    pub protocol: Settings,
    pub frame_trace: Option<FrameTrace>,
    pub connect_timeout: Option<Duration>,
    pub ca_file: Option<PathBuf>,
    pub server_name: Option<String>,
}

impl ClientSettings {
    /// The defaults.
    pub fn new(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            device: None,
            credential: Credential::None,
            uid: None,
            store: Box::new(MemoryStore::new()),
            start: StartAt::Remembered,
            ephemeral: false,
            agent: concat!("hongyan-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            grease: true,
            protocol: Settings::default(),
            frame_trace: None,
            connect_timeout: None,
            ca_file: None,
            server_name: None,
        }
    }
}
