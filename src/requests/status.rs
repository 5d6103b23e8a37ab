//! What became of a message of one's own.

use hongyan_proto::wire::{self, response, status_request::Which};
use prost::Message;

use super::{Answer, Asker, Problem, ROW_RESERVE, invalid, not_found};
use crate::log::{Answer as Given, ConversationNo, Recipient};

/// Recipients who are told one by one.
const MAX_NAMED: usize = 100;

/// A message's place, or what else is known of a SEND.
enum Sent {
    Message(wire::MessageId),
    Other(wire::Status),
}

impl Asker<'_> {
    pub(super) async fn status(&self, request: wire::StatusRequest) -> Answer {
        let id = match request.which {
            Some(Which::Message(id)) => id,
            Some(Which::SendNo(send_no)) => match self.sent(send_no).await? {
                Sent::Message(id) => id,
                Sent::Other(status) => return Ok(response::Result::Status(status)),
            },
            None => return Err(invalid("say which message: by its send_no or its number in a conversation")),
        };
        self.status_of(id).await.map(response::Result::Status)
    }

    /// What this device sent under a number.
    async fn sent(&self, send_no: u64) -> Result<Sent, Problem> {
        let record = self.core.log.device(self.user(), self.channel.device).await?.unwrap_or_default();
        let Some(Given { cseq, useq, time_ms, nack, .. }) = record.answer(send_no).copied() else {
            return Err(not_found("no answer to this send_no is kept: ask by the number in the conversation"));
        };
        if nack != 0 {
            return Ok(Sent::Other(wire::Status { nack: nack as i32, ..Default::default() }));
        }
        if cseq == 0 || useq == 0 {
            // An act: done, and nobody's to receive under this number.
            return Ok(Sent::Other(wire::Status { time_ms, ..Default::default() }));
        }
        let refs = self.core.log.refs(self.user(), useq - 1, useq, 1).await?;
        let Some((_, reference)) = refs.first().filter(|(found, _)| *found == useq) else {
            return Err(not_found("the entry of this send_no is gone: ask by the number in the conversation"));
        };
        let no = ConversationNo(reference.conversation);
        let unknown = || not_found("there is no such message of yours");
        let conversation = self.core.log.conversation(no).await?.ok_or_else(unknown)?;
        let conversation = self.core.log.conversation_id(self.user(), no, &conversation).await?;
        Ok(Sent::Message(wire::MessageId { conversation, cseq }))
    }

    async fn status_of(&self, id: wire::MessageId) -> Result<wire::Status, Problem> {
        let unknown = || not_found("there is no such message of yours");
        let view = self.view(&id.conversation).await?.ok_or_else(unknown)?;
        let message = self.core.log.seen_message(&view, id.cseq).await?.ok_or_else(unknown)?;
        if message.from != self.uid.as_str() {
            return Err(unknown());
        }
        let recipients = self.core.log.fate(view.no, &view.record, self.user(), id.cseq).await?;
        let gone = message.extras.as_ref().map_or(0, |extras| extras.gone);
        let counted =
            |is: fn(&Recipient) -> bool| recipients.iter().filter(|one| !one.is_silent && is(one)).count() as u32;
        let mut status = wire::Status {
            message: Some(id),
            time_ms: message.time_ms,
            recipients: recipients.len() as u32,
            delivered: counted(|one| one.is_delivered),
            read: counted(|one| one.is_read),
            gone,
            ..Default::default()
        };
        let mut room = self.room();
        for recipient in recipients.into_iter().take(MAX_NAMED) {
            let recipient = self.recipient(recipient).await?;
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
    async fn recipient(&self, recipient: Recipient) -> Result<wire::RecipientStatus, Problem> {
        let mut status = wire::RecipientStatus { uid: recipient.uid, ..Default::default() };
        if !recipient.is_silent {
            status.delivered = recipient.is_delivered;
            status.read = recipient.is_read;
            status.delivered_ms = recipient.delivered_ms;
            status.read_ms = recipient.read_ms;
            status.delivered_devices = recipient.devices.iter().filter(|device| device.has_it).count() as u32;
        }
        let online = self.core.sessions.channels(recipient.user).len();
        if online > 0 && self.core.log.shows_presence_to(recipient.user, self.user()).await? {
            status.offered_devices = online as u32;
        }
        Ok(status)
    }
}
