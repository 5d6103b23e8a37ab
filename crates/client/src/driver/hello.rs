//! The opening of a connection: who this device is, and whether it says HELLO or RESUME.

use std::time::{Duration, Instant};

use hongyan_proto::{
    DeviceName, Uid,
    client::{Connection, Place, Settings},
    codec::MAX_FRAME_BEFORE_LOGIN,
    wire::{self, hello},
};
use prost::Message as _;

use crate::{
    error::{ClientError, ErrorKind},
    settings::{ClientSettings, Credential, StartAt},
    store::Meta,
};

/// What a login is made of, apart from the store's part.
pub(crate) struct Login {
    pub device: DeviceName,
    pub uid: Option<Uid>,
    protocol: Settings,
    pub ephemeral: bool,
    credential: Credential,
    start: StartAt,
    agent: String,
}

impl Login {
    pub fn new(settings: &ClientSettings) -> Result<Self, ClientError> {
        let refuse = |what: &str| Err(ClientError::new(ErrorKind::Settings, what));
        let Some(device) = settings.device.clone() else {
            return refuse("no device name was given; every device of a user needs one of its own");
        };
        let (longest, what) = match &settings.credential {
            Credential::Token(token) => (token.expose().len() <= 3_500, "the token is longer than 3,500 bytes"),
            Credential::Password(word) => (word.expose().len() <= 1_024, "the password is longer than 1,024 bytes"),
            Credential::None => (true, ""),
        };
        if !longest {
            return refuse(what);
        }
        Ok(Self {
            device,
            uid: settings.uid.clone(),
            protocol: settings.protocol.clone(),
            ephemeral: settings.ephemeral,
            credential: settings.credential.clone(),
            start: settings.start,
            agent: settings.agent.clone(),
        })
    }

    /// Whether the device can log in at all.
    pub fn check(&self, meta: &Meta) -> Result<(), ClientError> {
        let refuse = |what: String| Err(ClientError::new(ErrorKind::Settings, what));
        if meta.device != self.device.as_str() {
            return refuse(format!("the store belongs to the device {:?}, not to {:?}", meta.device, self.device));
        }
        if let Some(uid) = self.uid.as_ref().filter(|uid| !meta.uid.is_empty() && uid.as_str() != meta.uid) {
            return refuse(format!("the store belongs to the user {:?}, not to {uid:?}", meta.uid));
        }
        if matches!(self.credential, Credential::Password(_)) && self.uid.is_none() && meta.uid.is_empty() {
            return refuse("a login with a password needs a uid".into());
        }
        if meta.resume_token.is_empty() && matches!(self.credential, Credential::None) {
            return Err(required());
        }
        Ok(())
    }

    /// The HELLO; None without a credential. Every send_no up to `answered` has its answer.
    pub fn hello(&self, meta: &Meta, answered: u64) -> Option<wire::Hello> {
        let credential = match &self.credential {
            Credential::Token(token) => hello::Credential::Token(token.expose().to_owned()),
            Credential::Password(password) => hello::Credential::Password(password.expose().to_owned()),
            Credential::None => return None,
        };
        let uid = self.uid.as_ref().map_or_else(|| meta.uid.clone(), Uid::to_string);
        Some(wire::Hello {
            uid,
            device: self.device.to_string(),
            device_epoch: meta.device_epoch,
            credential: Some(credential),
            cursor: meta.cursor,
            log_epoch: meta.log_epoch,
            last_send_no: meta.last_send_no,
            features: 0,
            agent: self.agent.clone(),
            from_head: meta.cursor.is_none() && self.start == StartAt::Head,
            ephemeral: self.ephemeral,
            answered_send_no: answered,
        })
    }

    /// The opening to use now. `distrust`: an earlier RESUME got no answer, so the token may be used up.
    pub fn open(&self, meta: &Meta, place: Place, distrust: bool, clock_ms: u64, now: Instant) -> Option<Opening> {
        let hello = self.hello(meta, place.first_unanswered - 1);
        let age = Duration::from_millis(clock_ms.saturating_sub(meta.resume_from_ms));
        let lifetime = Duration::from_secs(meta.resume_ttl_s.into());
        let expired = age >= lifetime && hello.is_some();
        if meta.resume_token.is_empty() || expired {
            let connection = Connection::hello(self.protocol.clone(), &hello?, place, now);
            return Some(Opening { connection, resume: false });
        }
        let cheap = matches!(self.credential, Credential::Token(_));
        let mut resume = wire::Resume {
            resume_token: meta.resume_token.clone(),
            cursor: place.cursor,
            limits_id: meta.limits.as_ref().map_or(0, |limits| limits.id),
            fallback: hello.filter(|_| cheap && (distrust || age >= lifetime / 2)),
        };
        if resume.encoded_len() >= MAX_FRAME_BEFORE_LOGIN {
            resume.fallback = None;
        }
        let connection = Connection::resume(self.protocol.clone(), &resume, place, now);
        Some(Opening { connection, resume: true })
    }
}

/// The protocol's side of a new connection.
pub(crate) struct Opening {
    pub connection: Connection,
    /// It began with a RESUME, so that a refusal leaves a HELLO to try.
    pub resume: bool,
}

/// The end where the resume token is gone and nothing else proves who this is.
pub(crate) fn required() -> ClientError {
    let what = "there is no resume token that the server accepts: log in with a token or password";
    ClientError::new(ErrorKind::LoginRequired, what)
}
