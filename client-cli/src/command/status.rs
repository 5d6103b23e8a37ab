//! `status`: what the server knows of this user, what waits on this machine, or what became of one message: as the
//! devices of this machine remember it, or as the server tells who has received and read it.

use std::path::Path;

use hongyan_client::{
    Account, Client, ConversationId, Device, LocalStore, MessageStatus, RecipientStatus, SendStatus, Sent, SqliteStore,
    StoreError,
    store::{Answer, Outcome},
};
use hongyan_proto::code::nack_name;
use serde::Serialize;

use crate::{
    args,
    exit::{Exit, Failure},
    output::Output,
    record::gone_name,
    session::{Login, Session},
    slot::Family,
    text::{count, harmless, local_clock},
};

/// A device of the user, as the server sees it.
#[derive(Serialize)]
struct DeviceRecord<'a> {
    device: &'a str,
    cursor: u64,
    online: bool,
    ephemeral: bool,
}

impl<'a> From<&'a Device> for DeviceRecord<'a> {
    fn from(Device { device, cursor, online, ephemeral }: &'a Device) -> Self {
        Self { device, cursor: *cursor, online: *online, ephemeral: *ephemeral }
    }
}

/// A device of this machine.
#[derive(Serialize)]
struct SlotRecord {
    slot: String,
    /// None: another run uses it now.
    unsent: Option<usize>,
}

#[derive(Serialize)]
struct AccountRecord<'a> {
    uid: &'a str,
    head: u64,
    devices: Vec<DeviceRecord<'a>>,
    slots: Vec<SlotRecord>,
}

/// One device's answer to what became of a number.
#[derive(Serialize)]
struct FateRecord {
    slot: String,
    send_no: u64,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cseq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    useq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What the server knows of a message.
#[derive(Serialize)]
struct MessageFateRecord {
    conversation: String,
    cseq: u64,
    committed_ms: u64,
    recipients: u32,
    delivered: u32,
    read: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    gone: Option<&'static str>,
    to: Vec<RecipientRecord>,
}

#[derive(Serialize)]
struct RecipientRecord {
    uid: String,
    state: &'static str,
    offered_devices: u32,
    delivered_devices: u32,
    delivered_ms: u64,
    read_ms: u64,
}

pub async fn run(login: &Login, what: Option<&str>, cseq: Option<u64>) -> Result<Exit, Failure> {
    let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
    let bad = |text: &str| {
        Failure::usage(format!(
            "{text:?} is no send_no; of a message in a conversation give both, such as `status bob 40`"
        ))
    };
    let send_no = match (what, cseq) {
        (Some(conversation), Some(cseq)) => return message_fate(login, &args::conversation(conversation)?, cseq).await,
        (Some(text), None) => Some(number(text).ok_or_else(|| bad(text))?),
        _ => None,
    };
    let session = login.open(Family::Sender).await?;
    let (output, slot, waiting) = (login.output, session.slot.clone(), session.left.len());
    with_account(session, output, async |client, account| match send_no {
        None => show_account(login, &account, &slot, waiting),
        Some(send_no) => show_fates(login, client, &slot, send_no).await,
    })
    .await
}

async fn message_fate(login: &Login, conversation: &ConversationId, cseq: u64) -> Result<Exit, Failure> {
    let output = login.output;
    let session = login.open(Family::Sender).await?;
    session
        .with_events_dropped(output, async |client| {
            let status = client.message_status(conversation, cseq).await?;
            let fate = MessageFateRecord::new(conversation, cseq, &status);
            if output.json {
                output.record(&fate)?
            } else {
                output.line(&fate.to_string())?
            }
            Ok(Exit::Done)
        })
        .await
}

impl MessageFateRecord {
    fn new(conversation: &ConversationId, cseq: u64, status: &MessageStatus) -> Self {
        let MessageStatus { time_ms, recipients, delivered, read, .. } = *status;
        let to = status.to.iter().map(RecipientRecord::from).collect();
        let (conversation, gone) = (conversation.to_string(), gone_name(status.gone));
        Self { conversation, cseq, committed_ms: time_ms, recipients, delivered, read, gone, to }
    }
}

impl From<&RecipientStatus> for RecipientRecord {
    fn from(status: &RecipientStatus) -> Self {
        let state = match status {
            RecipientStatus { read: true, .. } => "read",
            RecipientStatus { delivered: true, .. } => "delivered",
            RecipientStatus { offered_devices: 1.., .. } => "offered",
            _ => "waiting",
        };
        Self {
            uid: status.uid.to_string(),
            state,
            offered_devices: status.offered_devices,
            delivered_devices: status.delivered_devices,
            delivered_ms: status.delivered_ms,
            read_ms: status.read_ms,
        }
    }
}

impl std::fmt::Display for MessageFateRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { conversation, cseq, committed_ms, recipients, delivered, read, .. } = self;
        let gone = self.gone.map_or_else(String::new, |gone| format!(", {gone} since"));
        write!(f, "message {cseq} with {conversation}: committed {}{gone}", local_clock(*committed_ms))?;
        if *recipients == 0 {
            return write!(f, "; in a large group nobody is counted");
        }
        write!(f, "; delivered to {delivered} and read by {read} of {recipients}")?;
        for to in &self.to {
            let at = |time: u64| if time == 0 { String::new() } else { format!(" {}", local_clock(time)) };
            let devices = count(to.delivered_devices as usize, "device");
            write!(f, "\n  {:<20} {}{}, {devices}", to.uid, to.state, at(to.read_ms.max(to.delivered_ms)))?;
        }
        Ok(())
    }
}

/// Asks for the account first, in any case: when the answer is here, so is what the server pushed before it.
async fn with_account(
    session: Session,
    output: Output,
    work: impl AsyncFnOnce(&Client, Account) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    session.with_events_dropped(output, async |client| work(client, client.account().await?).await).await
}

fn show_account(login: &Login, account: &Account, own: &str, waiting: usize) -> Result<Exit, Failure> {
    let mut slots = Vec::new();
    for (slot, path) in login.devices().list()? {
        let unsent = if slot == own { Some(waiting) } else { unsent(&path)? };
        slots.push(SlotRecord { slot, unsent });
    }
    let output = login.output;
    if output.json {
        let devices = account.devices.iter().map(DeviceRecord::from).collect();
        output.record(&AccountRecord { uid: account.uid.as_str(), head: account.head, devices, slots })?;
        return Ok(Exit::Done);
    }
    output.line(&format!("{} at {}: log head {}", account.uid, login.setup.server, account.head))?;
    for device in &account.devices {
        let state = if device.online { "online" } else { "offline" };
        let kind = if device.ephemeral { ", ephemeral" } else { "" };
        let behind = account.head.saturating_sub(device.cursor);
        let place = if behind == 0 { "up to date".into() } else { format!("{behind} behind") };
        output.line(&format!(
            "  {:<28} cursor {:<8} {place}, {state}{kind}",
            harmless(&device.device),
            device.cursor
        ))?;
    }
    for SlotRecord { slot, unsent } in &slots {
        match unsent {
            Some(0) => {}
            Some(unsent) => output.line(&format!("  {slot}: {} waiting to be sent", count(*unsent, "message")))?,
            None => output.line(&format!("  {slot}: in use by another run"))?,
        }
    }
    Ok(Exit::Done)
}

/// Messages that wait in a store; None: it is in use.
fn unsent(path: &Path) -> Result<Option<usize>, Failure> {
    match SqliteStore::open(path) {
        Ok(mut store) => Ok(Some(store.load()?.outbox.len())),
        Err(StoreError::InUse { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Every device of this machine has numbers of its own, so each may know another message by this one.
async fn show_fates(login: &Login, client: &Client, own: &str, send_no: u64) -> Result<Exit, Failure> {
    let mut fates = vec![(own.to_owned(), client.status(send_no).await)];
    for (slot, path) in login.devices().list()?.into_iter().filter(|(slot, _)| slot != own) {
        match SqliteStore::open(path) {
            Ok(store) => fates.push((slot, stored_status(store, send_no)?)),
            Err(StoreError::InUse { .. }) => login.output.error(&format!("{slot} is in use by another run, not asked")),
            Err(error) => return Err(error.into()),
        }
    }
    fates.retain(|(_, status)| *status != SendStatus::Unknown);
    for (slot, status) in &fates {
        let fate = fate(slot, send_no, status);
        if login.output.json {
            login.output.record(&fate)?;
        } else {
            login.output.line(&fate.to_string())?;
        }
    }
    if fates.is_empty() {
        return Err(Failure::new(Exit::Refused, format!("no device of this machine knows a message {send_no}")));
    }
    Ok(Exit::Done)
}

/// As [`Client::status`], of a store that no client has open.
fn stored_status(mut store: SqliteStore, send_no: u64) -> Result<SendStatus, StoreError> {
    let loaded = store.load()?;
    if loaded.outbox.iter().any(|item| item.send_no == send_no) {
        return Ok(SendStatus::Queued);
    }
    let Some(Answer { to, outcome }) = store.answer(send_no)? else { return Ok(SendStatus::Unknown) };
    let mark = loaded.conversations.iter().find(|(peer, _)| *peer == to).map(|(_, mark)| mark);
    let delivered = mark.map_or(0, |mark| mark.delivered);
    let read = mark.and_then(|mark| mark.row.as_ref()).map_or(0, |row| row.peer_read_cseq);
    Ok(match (outcome, ConversationId::new(&to)) {
        (Some(Outcome::Sent(ack)), Ok(conversation)) => {
            let sent = Sent { send_no, conversation, cseq: ack.cseq, useq: ack.useq, time_ms: ack.time_ms };
            match ack.cseq {
                0 => SendStatus::Sent(sent),
                cseq if cseq <= read => SendStatus::Read(sent),
                cseq if cseq <= delivered => SendStatus::Delivered(sent),
                _ => SendStatus::Sent(sent),
            }
        }
        (Some(Outcome::Refused(nack)), _) => SendStatus::Refused { code: nack.code, reason: nack.reason },
        _ => SendStatus::Unknown,
    })
}

fn fate(slot: &str, send_no: u64, status: &SendStatus) -> FateRecord {
    let (state, sent, reason) = match status {
        SendStatus::Queued => ("queued", None, None),
        SendStatus::Sent(sent) => ("sent", Some(sent), None),
        SendStatus::Delivered(sent) => ("delivered", Some(sent), None),
        SendStatus::Read(sent) => ("read", Some(sent), None),
        SendStatus::Refused { code, reason } => ("refused", None, Some(format!("{} {reason}", nack_name(*code)))),
        _ => ("unknown", None, None),
    };
    FateRecord {
        slot: slot.into(),
        send_no,
        state,
        conversation: sent.map(|sent| sent.conversation.to_string()),
        cseq: sent.map(|sent| sent.cseq),
        useq: sent.map(|sent| sent.useq),
        time_ms: sent.map(|sent| sent.time_ms),
        reason,
    }
}

impl std::fmt::Display for FateRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} #{}: {}", self.slot, self.send_no, self.state)?;
        if let (Some(peer), Some(cseq), Some(time)) = (&self.conversation, self.cseq, self.time_ms) {
            write!(f, ", message {cseq} with {peer}, {}", local_clock(time))?;
        }
        match &self.reason {
            Some(reason) => write!(f, ", {}", harmless(reason)),
            None => Ok(()),
        }
    }
}
