//! What became of a message, for operators: who was to get it, which devices have it, who has read it, and when. Never
//! what was written.

use std::fmt;

use hongyan_proto::{
    ConversationId, Uid,
    wire::{Extras, Gone},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    base::number::{ConversationNo, UserNo},
    live::sessions::Sessions,
    log::{ConversationRecord, Log, Recipient as Reached, Sent, message_of},
    store::StoreError,
};

/// Which message of a user.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    Numbered { conversation: String, cseq: u64 },
    Sent { device: String, send_no: u64 },
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Trace {
    /// Refused for good, with this code.
    Refused {
        nack: String,
    },
    /// An act, which is nobody's to receive under its send_no.
    Done {
        time_ms: u64,
    },
    Committed(Committed),
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Committed {
    /// As the user calls it who was named.
    pub conversation: String,
    pub cseq: u64,
    pub from: String,
    pub committed_ms: u64,
    /// Not a message, but an act.
    pub is_act: bool,
    /// Why there is no body any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
    /// In a large group nobody is told, and nobody is named here.
    pub is_large: bool,
    pub recipients: Vec<Recipient>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Recipient {
    pub uid: String,
    pub delivered: bool,
    pub read: bool,
    /// When it became known; none: it is not known when.
    pub delivered_ms: Option<u64>,
    pub read_ms: Option<u64>,
    /// The user lets nobody know what was delivered and read.
    pub no_receipts: bool,
    pub devices: Vec<Device>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Device {
    pub device: String,
    /// It is live: it has been offered the message, or is about to be.
    pub offered: bool,
    /// It has stored the message.
    pub delivered: bool,
    /// It has stored everything up to this entry of the user's log.
    pub cursor: u64,
}

/// Why nothing is known of a message.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("there is no user {0}")]
    User(String),
    #[error("{uid} has no device {device}")]
    Device { uid: String, device: String },
    #[error("nothing is kept of send_no {0} of this device: name the conversation and the number of the message")]
    SendNo(u64),
    #[error("{uid} has no conversation {conversation}")]
    Conversation { uid: String, conversation: String },
    #[error("there is no message {0} in this conversation")]
    Message(u64),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Looks for a message of `uid`.
pub async fn trace(log: &Log, sessions: &Sessions, uid: &str, message: Message) -> Result<Trace, TraceError> {
    let unknown = || TraceError::User(uid.into());
    let uid = Uid::new(uid).map_err(|_| unknown())?;
    let user = log.user_no(uid.as_str()).await?.ok_or_else(unknown)?;
    let (no, cseq) = match message {
        Message::Numbered { conversation, cseq } => {
            let id = ConversationId::new(&conversation).ok();
            let view = match &id {
                Some(id) => log.view(user, id).await?,
                None => None,
            };
            let unknown = || TraceError::Conversation { uid: uid.to_string(), conversation };
            (view.ok_or_else(unknown)?.no, cseq)
        }
        Message::Sent { device, send_no } => {
            let devices = log.devices(user).await?;
            let newest = devices.iter().rev().find(|(_, record)| record.name == device);
            let Some((device, _)) = newest else { return Err(TraceError::Device { uid: uid.to_string(), device }) };
            match log.sent(user, *device, send_no).await? {
                Sent::Unknown => return Err(TraceError::SendNo(send_no)),
                Sent::Refused(nack) => return Ok(Trace::Refused { nack: nack.as_str_name().into() }),
                Sent::Done { time_ms } => return Ok(Trace::Done { time_ms }),
                Sent::Message(no, cseq) => (no, cseq),
            }
        }
    };
    let record = log.conversation(no).await?.unwrap_or_default();
    committed(log, sessions, user, (no, record), cseq).await.map(Trace::Committed)
}

async fn committed(
    log: &Log,
    sessions: &Sessions,
    user: UserNo,
    (no, record): (ConversationNo, ConversationRecord),
    cseq: u64,
) -> Result<Committed, TraceError> {
    let row = log.message(no, cseq).await?.ok_or(TraceError::Message(cseq))?;
    let message = message_of(row)?;
    let author = log.user_no(&message.from).await?.ok_or_else(|| TraceError::User(message.from.clone()))?;
    let reached = log.fate(no, &record, author, cseq).await?;
    Ok(Committed {
        conversation: log.conversation_id(user, no, &record).await?,
        cseq,
        from: message.from,
        committed_ms: message.time_ms,
        is_act: message.act.is_some(),
        gone: gone(message.extras.as_deref()),
        is_large: record.group.is_some_and(|group| group.large),
        recipients: reached.into_iter().map(|reached| recipient(sessions, reached)).collect(),
    })
}

fn gone(extras: Option<&Extras>) -> Option<String> {
    match extras.map_or(Gone::Not, Extras::gone) {
        Gone::Not => None,
        Gone::Recalled => Some("recalled".into()),
        Gone::Expired => Some("expired".into()),
    }
}

fn recipient(sessions: &Sessions, reached: Reached) -> Recipient {
    let known = |time_ms| (time_ms != 0).then_some(time_ms);
    let devices = reached.devices.into_iter().map(|device| Device {
        offered: sessions.is_live(reached.user, device.no),
        device: device.name,
        delivered: device.has_it,
        cursor: device.cursor,
    });
    Recipient {
        uid: reached.uid,
        delivered: reached.is_delivered,
        read: reached.is_read,
        delivered_ms: known(reached.delivered_ms),
        read_ms: known(reached.read_ms),
        no_receipts: reached.is_silent,
        devices: devices.collect(),
    }
}

/// Lines for people.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trace::Refused { nack } => writeln!(f, "refused for good: {nack}"),
            Trace::Done { time_ms } => writeln!(f, "an act, done {}", Time(*time_ms)),
            Trace::Committed(committed) => committed.fmt(f),
        }
    }
}

impl fmt::Display for Committed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_act { "act" } else { "message" };
        let Self { conversation, cseq, from, committed_ms, .. } = self;
        write!(f, "{kind} {cseq} of {conversation}, from {from}, committed {}", Time(*committed_ms))?;
        match &self.gone {
            Some(gone) => writeln!(f, "; its body is gone: {gone}")?,
            None => writeln!(f)?,
        }
        if self.is_large {
            return writeln!(f, "the group is above the fan-out threshold: what was delivered is not known");
        }
        self.recipients.iter().try_for_each(|recipient| recipient.fmt(f))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uid)?;
        let steps = [("delivered", self.delivered, self.delivered_ms), ("read", self.read, self.read_ms)];
        for (step, is_done, time_ms) in steps {
            match (is_done, time_ms) {
                (false, _) => write!(f, "\tnot {step}")?,
                (true, None) => write!(f, "\t{step}")?,
                (true, Some(time_ms)) => write!(f, "\t{step} {}", Time(time_ms))?,
            }
        }
        writeln!(f, "{}", if self.no_receipts { "\ttells nobody" } else { "" })?;
        for Device { device, offered, delivered, cursor } in &self.devices {
            let live = if *offered { "online" } else { "offline" };
            let stored = if *delivered { "has it" } else { "does not have it" };
            writeln!(f, "  {device}\t{live}\t{stored}\tcursor {cursor}")?;
        }
        Ok(())
    }
}

/// Milliseconds since 1970, as people write it.
struct Time(u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match i64::try_from(self.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()) {
            Some(time) => write!(f, "{time:.3}"),
            None => write!(f, "{} ms after 1970", self.0),
        }
    }
}
