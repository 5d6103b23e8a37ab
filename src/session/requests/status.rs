//! What became of a message of one's own.

use hongyan_proto::wire::{self, response, status_request::Which};
use prost::Message;

use super::asker::{Answer, Asker, Problem, ROW_RESERVE, invalid, not_found};
use crate::log::{Recipient, Sent};

/// Recipients who are told one by one.
const MAX_NAMED: usize = 100;

pub async fn status(asker: &Asker<'_>, request: wire::StatusRequest) -> Answer {
    let status = match request.which {
        Some(Which::Message(id)) => status_of(asker, id).await?,
        Some(Which::SendNo(send_no)) => status_of_sent(asker, send_no).await?,
        None => return Err(invalid("say which message: by its send_no or its number in a conversation")),
    };
    Ok(response::Result::Status(status))
}

async fn status_of_sent(asker: &Asker<'_>, send_no: u64) -> Result<wire::Status, Problem> {
    let log = &asker.log;
    match log.sent(asker.user(), asker.channel.device, send_no).await? {
        Sent::Unknown => Err(not_found("nothing is kept of this send_no: ask by the number in the conversation")),
        Sent::Refused(nack) => Ok(wire::Status { nack: nack.into(), ..Default::default() }),
        Sent::Done { time_ms } => Ok(wire::Status { time_ms, ..Default::default() }),
        Sent::Message(no, cseq) => {
            let record = log.conversation(no).await?.unwrap_or_default();
            let conversation = log.conversation_id(asker.user(), no, &record).await?;
            status_of(asker, wire::MessageId { conversation, cseq }).await
        }
    }
}

async fn status_of(asker: &Asker<'_>, id: wire::MessageId) -> Result<wire::Status, Problem> {
    let unknown = || not_found("there is no such message of yours");
    let view = asker.view(&id.conversation).await?.ok_or_else(unknown)?;
    let message = asker.log.seen_message(&view, id.cseq).await?.ok_or_else(unknown)?;
    if message.from != asker.uid.as_str() {
        return Err(unknown());
    }
    let recipients = asker.log.fate(view.no, &view.record, asker.user(), id.cseq).await?;
    let gone = message.extras.as_ref().map_or(0, |extras| extras.gone);
    let counted = |is: fn(&Recipient) -> bool| recipients.iter().filter(|one| !one.is_silent && is(one)).count() as u32;
    let mut status = wire::Status {
        message: Some(id),
        time_ms: message.time_ms,
        recipients: recipients.len() as u32,
        delivered: counted(|one| one.is_delivered),
        read: counted(|one| one.is_read),
        gone,
        ..Default::default()
    };
    let mut room = asker.room();
    for named in recipients.into_iter().take(MAX_NAMED) {
        let recipient = recipient(asker, named).await?;
        let size = recipient.encoded_len() + ROW_RESERVE;
        if size > room {
            break;
        }
        room -= size;
        status.to.push(recipient);
    }
    Ok(status)
}

/// Who tells nobody what they have received and when they are online is only named.
async fn recipient(asker: &Asker<'_>, recipient: Recipient) -> Result<wire::RecipientStatus, Problem> {
    let mut status = wire::RecipientStatus { uid: recipient.uid, ..Default::default() };
    if !recipient.is_silent {
        status.delivered = recipient.is_delivered;
        status.read = recipient.is_read;
        status.delivered_ms = recipient.delivered_ms;
        status.read_ms = recipient.read_ms;
        status.delivered_devices = recipient.devices.iter().filter(|device| device.has_it).count() as u32;
    }
    let online = asker.sessions.channels(recipient.user).len();
    if online > 0 && asker.log.shows_presence_to(recipient.user, asker.user()).await? {
        status.offered_devices = online as u32;
    }
    Ok(status)
}
