//! Contacts, who is online, and the user's own account and settings.

use hongyan_proto::wire::{self, response};
use prost::Message;

use super::asker::{Answer, Asker, Problem, ROW_RESERVE, invalid, page_limit};
use crate::session::presence::FollowError;

/// A presence without its uid, at the most.
const PRESENCE: usize = 24;

pub async fn contacts(asker: &Asker<'_>, request: wire::ContactsRequest) -> Answer {
    let limit = page_limit(request.limit)?;
    let after = u32::try_from(request.after).map_err(|_| invalid("after: use `next` of the page before"))?;
    let found = asker.log.contacts(asker.user(), after, limit).await?;
    let mut page = wire::ContactsPage::default();
    if found.len() == limit {
        page.next = found.last().map_or(0, |(user, _)| user.0.into());
    }
    let (mut room, mut position) = (asker.room(), after);
    for (user, record) in found {
        let contact = record.as_seen(asker.log.uid(user).await?);
        let size = contact.encoded_len() + ROW_RESERVE;
        if size > room {
            page.next = position.into();
            break;
        }
        room -= size;
        position = user.0;
        page.contacts.push(contact);
    }
    Ok(response::Result::Contacts(page))
}

pub async fn presence(asker: &Asker<'_>, request: wire::PresenceRequest) -> Answer {
    // A presence is its uid and little more.
    if request.uids.iter().map(|uid| uid.len() + PRESENCE).sum::<usize>() > asker.room() {
        return Err(invalid("uids: more than fit a frame, ask for fewer at once"));
    }
    match asker.presence.follow(asker.log, asker.sessions, asker.channel, &request).await {
        Ok(presence) => Ok(response::Result::Presence(wire::PresenceList { presence })),
        Err(FollowError::Store(error)) => Err(Problem::Store(error)),
        Err(FollowError::TooMany) => Err(invalid("uids: at most 100 at once")),
        Err(FollowError::Full) => Err(invalid("a connection follows at most 500 users: let go of them with replace")),
    }
}

pub async fn privacy(asker: &Asker<'_>) -> Answer {
    Ok(response::Result::Privacy(asker.log.privacy(asker.user()).await?))
}

/// At most as many devices as fit: the newest ones, for they are what a user looks for.
pub async fn account(asker: &Asker<'_>) -> Answer {
    let (uid, head) = (asker.uid.as_str().into(), asker.channel.head());
    let mut account = wire::Account { uid, head, devices: Vec::new() };
    let mut room = asker.room();
    for (no, record) in asker.log.devices(asker.user()).await?.into_iter().rev() {
        let online = asker.sessions.is_live(asker.user(), no);
        let (device, cursor, ephemeral) = (record.name, record.cursor, record.ephemeral);
        let device = wire::Device { device, cursor, online, ephemeral };
        let size = device.encoded_len() + ROW_RESERVE;
        if size > room {
            break;
        }
        room -= size;
        account.devices.push(device);
    }
    account.devices.reverse();
    Ok(response::Result::Account(account))
}
