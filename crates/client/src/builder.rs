//! How a client is set up and started.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use hongyan_proto::{DeviceName, Uid, client::Settings};

use crate::{
    Client, ClientError, ErrorKind, Events,
    store::{LocalStore, MemoryStore},
};

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
    /// At most 1,024 bytes. Needs [`Builder::uid`].
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

/// The settings of a client; see [`Client::builder`].
pub struct Builder {
    pub(crate) server: String,
    pub(crate) device: Option<DeviceName>,
    pub(crate) credential: Credential,
    pub(crate) uid: Option<Uid>,
    pub(crate) store: Box<dyn LocalStore>,
    pub(crate) start: StartAt,
    pub(crate) ephemeral: bool,
    pub(crate) agent: String,
    pub(crate) grease: bool,
    pub(crate) settings: Settings,
    pub(crate) frame_trace: Option<FrameTrace>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) server_name: Option<String>,
    /// Parse errors of names are told by `connect`, so that the calls chain.
    pub(crate) invalid: Option<ClientError>,
}

impl Builder {
    pub(crate) fn new(server: &str) -> Self {
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
            settings: Settings::default(),
            frame_trace: None,
            connect_timeout: None,
            ca_file: None,
            server_name: None,
            invalid: None,
        }
    }

    /// Which of the user's devices this is; required. Two clients with one device name replace each other.
    pub fn device(mut self, name: &str) -> Self {
        match DeviceName::new(name) {
            Ok(name) => self.device = Some(name),
            Err(error) => self.refuse(error),
        }
        self
    }

    /// How to log in. Default: [`Credential::None`].
    pub fn credential(mut self, credential: Credential) -> Self {
        self.credential = credential;
        self
    }

    /// Who logs in. May be left out with a token, whose subject says it, and with a store that has logged in before.
    pub fn uid(mut self, uid: &str) -> Self {
        match Uid::new(uid) {
            Ok(uid) => self.uid = Some(uid),
            Err(error) => self.refuse(error),
        }
        self
    }

    /// Where this device keeps its state. Default: a new [`MemoryStore`].
    pub fn store(mut self, store: Box<dyn LocalStore>) -> Self {
        self.store = store;
        self
    }

    /// Where a device without a place begins. Default: [`StartAt::Remembered`].
    pub fn start(mut self, start: StartAt) -> Self {
        self.start = start;
        self
    }

    /// A device for one errand: the server forgets it soon after it leaves. Default: false.
    pub fn ephemeral(mut self, ephemeral: bool) -> Self {
        self.ephemeral = ephemeral;
        self
    }

    /// The interval of PINGs, clamped to the server's bounds. Default: what the server suggests.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.settings.heartbeat = Some(interval);
        self
    }

    /// Program and version for the server's log, at most 64 bytes of printable ASCII; the rest is cut off.
    pub fn agent(mut self, agent: &str) -> Self {
        self.agent = agent.chars().filter(|c| matches!(c, ' '..='~')).take(64).collect();
        self
    }

    /// Whether to send, now and then, frames without a meaning, which keep servers honest about ignoring what they do
    /// not know. Default: true.
    pub fn grease(mut self, grease: bool) -> Self {
        self.grease = grease;
        self
    }

    /// The protocol's waiting times. Replaces what [`Self::heartbeat`] said before.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Shows every byte in and out, credentials included.
    pub fn frame_trace(mut self, trace: FrameTrace) -> Self {
        self.frame_trace = Some(trace);
        self
    }

    /// How long [`Self::connect`] may try. Default: for ever.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// A PEM file with the certificates to trust instead of the system's. Only with `tls://`.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// The name that the server's certificate must carry. Default: the host that is connected to. Only with `tls://`.
    pub fn server_name(mut self, name: &str) -> Self {
        self.server_name = Some(name.to_owned());
        self
    }

    /// Starts the client on the current Tokio runtime, and returns once it is logged in for the first time. While the
    /// server is unreachable or busy it keeps trying, for [`Self::connect_timeout`].
    ///
    /// # Errors
    /// A setting that makes no sense, a store that fails, a certificate of the server that is not accepted, a login that
    /// is refused, or the timeout (kind Unreachable).
    pub async fn connect(self) -> Result<(Client, Events), ClientError> {
        Client::start(self).await
    }

    fn refuse(&mut self, error: hongyan_proto::InvalidId) {
        self.invalid.get_or_insert(ClientError::new(ErrorKind::Settings, error.to_string()));
    }
}
