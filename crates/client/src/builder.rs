//! How a client is set up and started, one call after the other. What the settings are is in `settings.rs`.

use std::{path::PathBuf, time::Duration};

use hongyan_proto::{DeviceName, Uid, client::Settings};

use crate::{
    client::Client,
    error::{ClientError, ErrorKind},
    event::Events,
    settings::{ClientSettings, Credential, FrameTrace, StartAt},
    store::LocalStore,
};

/// The settings of a client, under way; see [`Client::builder`].
pub struct Builder {
    settings: ClientSettings,
    /// Parse errors of names are told by `connect`, so that the calls chain.
    invalid: Option<ClientError>,
}

impl Client {
    /// Begins to set up a client for the server at `host:port`, or `tls://host:port` for TLS 1.3. The plain form shows
    /// credentials and messages to everybody on the way: use it on one machine only.
    pub fn builder(server: &str) -> Builder {
        Builder { settings: ClientSettings::new(server), invalid: None }
    }
}

impl Builder {
    /// Which of the user's devices this is; required. Two clients with one device name replace each other.
    pub fn device(mut self, name: &str) -> Self {
        match DeviceName::new(name) {
            Ok(name) => self.settings.device = Some(name),
            Err(error) => self.refuse(error),
        }
        self
    }

    /// How to log in. Default: [`Credential::None`].
    pub fn credential(mut self, credential: Credential) -> Self {
        self.settings.credential = credential;
        self
    }

    /// Who logs in. May be left out with a token, whose subject says it, and with a store that has logged in before.
    pub fn uid(mut self, uid: &str) -> Self {
        match Uid::new(uid) {
            Ok(uid) => self.settings.uid = Some(uid),
            Err(error) => self.refuse(error),
        }
        self
    }

    /// Where this device keeps its state. Default: a new [`crate::MemoryStore`].
    pub fn store(mut self, store: Box<dyn LocalStore>) -> Self {
        self.settings.store = store;
        self
    }

    /// Where a device without a place begins. Default: [`StartAt::Remembered`].
    pub fn start(mut self, start: StartAt) -> Self {
        self.settings.start = start;
        self
    }

    /// A device for one errand: the server forgets it soon after it leaves. Default: false.
    pub fn ephemeral(mut self, ephemeral: bool) -> Self {
        self.settings.ephemeral = ephemeral;
        self
    }

    /// The interval of PINGs, clamped to the server's bounds. Default: what the server suggests.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.settings.protocol.heartbeat = Some(interval);
        self
    }

    /// Program and version for the server's log, at most 64 bytes of printable ASCII; the rest is cut off.
    pub fn agent(mut self, agent: &str) -> Self {
        self.settings.agent = agent.chars().filter(|c| matches!(c, ' '..='~')).take(64).collect();
        self
    }

    /// Whether to send, now and then, frames without a meaning, which keep servers honest about ignoring what they do
    /// not know. Default: true.
    pub fn grease(mut self, grease: bool) -> Self {
        self.settings.grease = grease;
        self
    }

    /// The protocol's waiting times. Replaces what [`Self::heartbeat`] said before.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings.protocol = settings;
        self
    }

    /// Shows every byte in and out, credentials included.
    pub fn frame_trace(mut self, trace: FrameTrace) -> Self {
        self.settings.frame_trace = Some(trace);
        self
    }

    /// How long [`Self::connect`] may try. Default: for ever.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = Some(timeout);
        self
    }

    /// A PEM file with the certificates to trust instead of the system's. Only with `tls://`.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.ca_file = Some(path.into());
        self
    }

    /// The name that the server's certificate must carry. Default: the host that is connected to. Only with `tls://`.
    pub fn server_name(mut self, name: &str) -> Self {
        self.settings.server_name = Some(name.to_owned());
        self
    }

    /// Starts the client on the current Tokio runtime, and returns once it is logged in for the first time. While the
    /// server is unreachable or busy it keeps trying, for [`Self::connect_timeout`].
    ///
    /// # Errors
    /// A setting that makes no sense, a store that fails, a certificate of the server that is not accepted, a login that
    /// is refused, or the timeout (kind Unreachable).
    pub async fn connect(self) -> Result<(Client, Events), ClientError> {
        match self.invalid {
            Some(invalid) => Err(invalid),
            None => Client::start(self.settings).await,
        }
    }

    fn refuse(&mut self, error: hongyan_proto::InvalidId) {
        self.invalid.get_or_insert(ClientError::new(ErrorKind::Settings, error.to_string()));
    }
}
