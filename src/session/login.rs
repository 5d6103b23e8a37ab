//! Logging in: from a HELLO or RESUME to a bound device, or to a refusal that tells an attacker nothing.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hongyan_proto::{
    CloseCode, DeviceName, Uid,
    wire::{self, hello},
};

use super::gate::{Attempt, BAD_CREDENTIALS, BEARERS, Gate, RESUMES, Rejection};
use crate::{
    auth::{
        Secret,
        password::PasswordError,
        resume::{ResumeToken, TokenHash},
        token::TokenError,
    },
    base::{
        metrics::Metrics,
        number::{DeviceNo, UserNo},
    },
    live::{channel::Channel, sessions::Sessions},
    log::Log,
    ops::{
        answer::{Answer, Bound},
        desk::Desk,
        op::{Credential, Login, Op, Who},
    },
};

/// The longest `agent`, in bytes.
const MAX_AGENT: usize = 64;
/// Numbers that a device may begin with: far below where they would overflow.
const MAX_NUMBER: u64 = 1 << 62;

/// What a login goes through.
#[derive(Clone, Copy)]
pub struct Entrance<'a> {
    pub gate: &'a Gate,
    pub desk: &'a Desk,
    pub sessions: &'a Sessions,
    pub log: &'a Log,
    pub metrics: &'a Metrics,
}

/// A device is bound: its channel gets everything after `cursor`.
pub struct LoggedIn {
    pub uid: Uid,
    pub channel: Arc<Channel>,
    pub resume_token: Bytes,
    pub head: u64,
    pub cursor: u64,
    pub last_send_no: u64,
    /// The cursor could not be continued.
    pub reset: Option<wire::SyncReset>,
}

impl LoggedIn {
    /// Which of its device's connections this is.
    pub fn conn_epoch(&self) -> u64 {
        self.channel.id.conn_epoch
    }

    /// What a device is told that has come back by its token; its connection adds credit and limits.
    pub fn resumed(&self) -> wire::Resumed {
        wire::Resumed {
            conn_epoch: self.conn_epoch(),
            resume_token: self.resume_token.clone(),
            head: self.head,
            last_send_no: self.last_send_no,
            ..Default::default()
        }
    }
}

/// A HELLO: verifies its credential and binds the device.
pub async fn hello(entrance: Entrance<'_>, hello: wire::Hello, attempt: &Attempt) -> Result<LoggedIn, Rejection> {
    let device = check_fields(&hello)?;
    let proof = prove(entrance.gate, entrance.log, &hello, &device, attempt).await?;
    let credential = Credential {
        uid: proof.uid,
        by_token: proof.by_token,
        token_epoch: proof.token_epoch,
        issued_at_s: proof.issued_at_s,
        device,
        device_epoch: hello.device_epoch,
        cursor: hello.cursor,
        log_epoch: hello.log_epoch,
        last_send_no: hello.last_send_no,
        answered_send_no: hello.answered_send_no,
        from_head: hello.from_head,
        ephemeral: hello.ephemeral,
    };
    let logged_in = bind(entrance, Who::Credential(credential), attempt).await?;
    entrance.metrics.logins.inc();
    Ok(logged_in)
}

/// A device that has come back.
pub struct CameBack {
    pub login: LoggedIn,
    /// Not by its token, but by the HELLO that it had brought beside.
    pub by_fallback: bool,
}

/// A RESUME: the token is looked at where it is rotated, in the committer. Only its fallback hashes passwords. A token
/// that is refused counts as a failed login, unless the fallback shows that the device only had an old one.
pub async fn resume(entrance: Entrance<'_>, resume: wire::Resume, attempt: &Attempt) -> Result<CameBack, Rejection> {
    let gate = entrance.gate;
    let token = ResumeToken::decode(&resume.resume_token);
    let claimed = token.as_ref().map_or(RESUMES.to_owned(), |token| claim(token.user_no(), token.device_no()));
    let by_token = match gate.check(&claimed, attempt, "too many resume tokens that were not valid, wait") {
        Ok(()) => resume_by(entrance, token, Some(resume.cursor), attempt).await,
        Err(too_early) => Err(too_early),
    };
    let refused = match by_token {
        Ok(login) => return Ok(CameBack { login, by_fallback: false }),
        Err(refused) => refused,
    };
    let is_guess = refused.code == CloseCode::RESUME_REFUSED;
    let came_back = match resume.fallback {
        Some(fallback) if is_guess || refused.code == CloseCode::TOO_MANY_ATTEMPTS => {
            let by_fallback = Box::pin(hello(entrance, fallback, attempt)).await;
            by_fallback.map(|login| CameBack { login, by_fallback: true })
        }
        _ => Err(refused),
    };
    if is_guess && came_back.is_err() {
        gate.on_failure(&claimed, attempt);
    }
    came_back
}

/// Under what the refused resume tokens of a device are counted; no uid looks like this.
fn claim(user_no: u64, device_no: u64) -> String {
    format!("{RESUMES} {user_no}/{device_no}")
}

async fn resume_by(
    entrance: Entrance<'_>,
    token: Option<ResumeToken>,
    cursor: Option<u64>,
    attempt: &Attempt,
) -> Result<LoggedIn, Rejection> {
    let Some(token) = token else {
        return Err(Rejection::new(CloseCode::RESUME_REFUSED, "this is not a resume token"));
    };
    let (Ok(user), Ok(device)) = (token.user_no().try_into(), token.device_no().try_into()) else {
        return Err(Rejection::new(CloseCode::RESUME_REFUSED, "the resume token is not valid any more"));
    };
    let (user, device, hash) = (UserNo(user), DeviceNo(device), token.hash().to_bytes());
    let login = bind(entrance, Who::Resume { user, device, hash, cursor }, attempt).await?;
    entrance.metrics.resumes.inc();
    Ok(login)
}

/// A device that uses its resume token over and over, as a bearer token: it stays as it is. Goes on from the server's
/// record of the device.
pub async fn reopen(entrance: Entrance<'_>, token: &[u8], attempt: &Attempt) -> Result<LoggedIn, Rejection> {
    let gate = entrance.gate;
    gate.check(BEARERS, attempt, "too many tokens that were not valid, wait")?;
    let token = ResumeToken::decode(token);
    let next_secret = token.as_ref().map_or(attempt.next_secret, ResumeToken::secret);
    let reopened = resume_by(entrance, token, None, &Attempt { next_secret, ..*attempt }).await;
    if reopened.as_ref().is_err_and(|refused| refused.code == CloseCode::RESUME_REFUSED) {
        gate.on_failure(BEARERS, attempt);
    }
    reopened
}

async fn bind(entrance: Entrance<'_>, who: Who, attempt: &Attempt) -> Result<LoggedIn, Rejection> {
    let Entrance { gate, desk, sessions, .. } = entrance;
    let next_hash = TokenHash::of(&attempt.next_secret).to_bytes();
    let stopping = || Rejection::new(CloseCode::GOING_AWAY, "the server is stopping");
    if gate.is_closed() {
        return Err(stopping());
    }
    let accepted = attempt.accepted;
    let asked = desk.ask(|op| Op::Login(Box::new(Login { op, who, next_hash, accepted }))).ok_or_else(stopping)?;
    let Answer::LoggedIn(bound) = asked.await else { return Err(stopping()) };
    let Bound { uid, channel: id, head, cursor, last_send_no, reset } = *bound?;
    let replaced = || Rejection::new(CloseCode::REPLACED, "the same device has connected again since");
    let channel = sessions.channel(id).ok_or_else(replaced)?;
    let (user, device) = (id.user.0.into(), id.device.0.into());
    gate.on_success(&claim(user, device), attempt);
    let resume_token = ResumeToken::new(user, device, attempt.next_secret).encode().into();
    Ok(LoggedIn { uid, channel, resume_token, head, cursor, last_send_no, reset })
}

fn check_fields(hello: &wire::Hello) -> Result<DeviceName, Rejection> {
    let bad = |reason| Rejection::new(CloseCode::BAD_FIELD, reason);
    let device =
        DeviceName::new(&hello.device).map_err(|_| bad("device: use 1 to 64 of the characters A-Z a-z 0-9 . _ @ -"))?;
    if hello.device_epoch == 0 {
        return Err(bad("device_epoch is 0: draw a random number once, when the device's store is made"));
    }
    if hello.agent.len() > MAX_AGENT || !hello.agent.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
        return Err(bad("agent: at most 64 bytes of printable ASCII"));
    }
    if hello.last_send_no > MAX_NUMBER || hello.answered_send_no > hello.last_send_no {
        return Err(bad("last_send_no: at most 2^62, and not below answered_send_no"));
    }
    if hello.from_head && hello.cursor.is_some() {
        return Err(bad("from_head and cursor exclude each other"));
    }
    Ok(device)
}

/// Who somebody has proved to be.
struct Proof {
    uid: Uid,
    by_token: bool,
    token_epoch: Option<u64>,
    issued_at_s: Option<u64>,
}

async fn prove(
    gate: &Gate,
    log: &Log,
    hello: &wire::Hello,
    device: &DeviceName,
    at: &Attempt,
) -> Result<Proof, Rejection> {
    let named = match hello.uid.as_str() {
        "" => None,
        uid => Some(Uid::new(uid).map_err(|_| {
            Rejection::new(CloseCode::BAD_FIELD, "uid: use 1 to 64 of the characters A-Z a-z 0-9 . _ @ -")
        })?),
    };
    let key = named.as_ref().map_or("", Uid::as_str);
    gate.check(key, at, "too many failed logins, wait")?;
    let proof = match &hello.credential {
        Some(hello::Credential::Token(token)) => prove_by_token(gate, token, named.clone(), device, at),
        Some(hello::Credential::Password(password)) => {
            // Boxed, so that the many who come with a token do not wait in so much memory.
            Box::pin(prove_by_password(gate, log, named.clone(), password.clone())).await
        }
        None => Err(Rejection::new(CloseCode::BAD_CREDENTIALS, "a HELLO needs a token or a password")),
    };
    match &proof {
        Ok(proof) => gate.on_success(proof.uid.as_str(), at),
        Err(refused) if refused.code == CloseCode::BAD_CREDENTIALS => gate.on_failure(key, at),
        Err(_) => {}
    }
    proof
}

fn prove_by_token(
    gate: &Gate,
    token: &str,
    named: Option<Uid>,
    device: &DeviceName,
    at: &Attempt,
) -> Result<Proof, Rejection> {
    let claims = gate.tokens.verify(token.as_bytes(), at.unix_s).map_err(|error| {
        tracing::debug!(%error, "a token was refused");
        match error {
            TokenError::Expired { .. } | TokenError::NotYetValid { .. } => {
                Rejection::new(CloseCode::TOKEN_EXPIRED, "the token is no longer, or not yet, valid")
            }
            _ => Rejection::new(CloseCode::BAD_CREDENTIALS, BAD_CREDENTIALS),
        }
    })?;
    let uid = Uid::new(&claims.uid).map_err(|_| Rejection::new(CloseCode::BAD_CREDENTIALS, BAD_CREDENTIALS))?;
    let other_user = named.is_some_and(|named| named != uid);
    let other_device = claims.device.is_some_and(|named| named != device.as_str());
    if other_user || other_device {
        return Err(Rejection::new(CloseCode::BAD_CREDENTIALS, "the token is for another user or device"));
    }
    Ok(Proof { uid, by_token: true, token_epoch: claims.epoch, issued_at_s: claims.issued_at })
}

/// The same work and the same answer whether or not the user exists, has a password, or is disabled.
async fn prove_by_password(gate: &Gate, log: &Log, named: Option<Uid>, password: String) -> Result<Proof, Rejection> {
    let uid = named.ok_or_else(|| Rejection::new(CloseCode::BAD_FIELD, "a login by password needs a uid"))?;
    let account = log.account_of(&uid).await?;
    let stored = account.map(|(_, account)| account.password_hash).filter(|hash| !hash.is_empty());
    let good = gate.passwords.verify(Secret::from(password), stored).await.map_err(|error| match error {
        PasswordError::Busy => Rejection {
            retry_after: Duration::from_secs(1),
            ..Rejection::new(CloseCode::OVERLOADED, "too many logins are being checked, wait")
        },
        error => {
            tracing::error!(%error, "a password could not be checked");
            Rejection::new(CloseCode::BAD_CREDENTIALS, BAD_CREDENTIALS)
        }
    })?;
    match good {
        true => Ok(Proof { uid, by_token: false, token_epoch: None, issued_at_s: None }),
        false => Err(Rejection::new(CloseCode::BAD_CREDENTIALS, BAD_CREDENTIALS)),
    }
}
