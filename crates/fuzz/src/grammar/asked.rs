//! What users ask for: acts and requests, mostly of things that are there.

use arbitrary::{Arbitrary, Result, Unstructured};
use hongyan_proto::{
    frame::Frame,
    wire::{self, act::What, request::Op, status_request::Which},
};

use super::value::{bytes, number};

/// Somebody, nobody, or no name at all.
pub fn uid(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=15)? {
        0 => String::new(),
        1 => "nobody".into(),
        2 => u.arbitrary::<&str>()?.to_owned(),
        3..=7 => "alice".into(),
        8..=11 => "bob".into(),
        _ => "carol".into(),
    })
}

/// A user or one of the first groups.
pub fn conversation(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=7)? {
        0..=3 => format!("#{}", u.int_in_range(0..=6)?),
        _ => uid(u)?,
    })
}

/// A message's number, mostly of one that may be there.
fn cseq(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(if u.int_in_range(0..=9)? == 0 { number(u)? } else { u.int_in_range(0..=12)? })
}

fn maybe<T>(u: &mut Unstructured<'_>, value: impl FnOnce(&mut Unstructured<'_>) -> Result<T>) -> Result<Option<T>> {
    if u.arbitrary()? { value(u).map(Some) } else { Ok(None) }
}

fn many<T>(u: &mut Unstructured<'_>, each: impl Fn(&mut Unstructured<'_>) -> Result<T>) -> Result<Vec<T>> {
    (0..u.int_in_range(0..=4)?).map(|_| each(u)).collect()
}

/// The number of a role, an audience and the like.
fn choice(u: &mut Unstructured<'_>) -> Result<i32> {
    Ok(if u.int_in_range(0..=15)? == 0 { u.arbitrary()? } else { u.int_in_range(0..=5)? })
}

fn text(u: &mut Unstructured<'_>) -> Result<String> {
    let len = u.int_in_range(0..=20)?;
    Ok(u.arbitrary::<&str>()?.chars().take(len).collect())
}

/// What a message carries beside its content.
pub fn extras(u: &mut Unstructured<'_>) -> Result<Option<Box<wire::Extras>>> {
    maybe(u, |u| {
        Ok(Box::new(wire::Extras {
            reply_to: cseq(u)?,
            mentions: many(u, uid)?,
            mention_all: u.arbitrary()?,
            expires_after_s: if u.arbitrary()? { u.int_in_range(0..=100)? } else { 0 },
            // Not for a client to say.
            forwarded_from: if u.arbitrary()? { uid(u)? } else { String::new() },
            edited_cseq: cseq(u)?,
            ..Default::default()
        }))
    })
}

pub fn act(u: &mut Unstructured<'_>) -> Result<What> {
    Ok(match u.int_in_range(0..=4)? {
        0 => about_messages(u)?,
        1 | 2 => about_members(u)?,
        3 => about_groups(u)?,
        _ => about_oneself(u)?,
    })
}

fn about_messages(u: &mut Unstructured<'_>) -> Result<What> {
    Ok(match u.int_in_range(0..=5)? {
        0 => {
            let (content, mentions) = (bytes(u)?, many(u, uid)?);
            What::Edit(wire::Edit { cseq: cseq(u)?, content, mentions, mention_all: u.arbitrary()? })
        }
        1 => What::Recall(wire::Recall { cseq: cseq(u)?, author: uid(u)? }),
        2 => What::React(wire::React { cseq: cseq(u)?, reaction: text(u)?, previous: text(u)? }),
        3 => What::Pin(wire::Pin { cseq: cseq(u)?, unpin: u.arbitrary()? }),
        4 => What::Disappear(wire::Disappear { after_s: number(u)? as u32 }),
        _ => What::Forward(wire::Forward { conversation: conversation(u)?, cseq: cseq(u)? }),
    })
}

fn about_members(u: &mut Unstructured<'_>) -> Result<What> {
    Ok(match u.int_in_range(0..=8)? {
        0 => What::GroupInvite(wire::GroupInvite { uids: many(u, uid)? }),
        1 => What::GroupJoin(wire::GroupJoin { link: text(u)? }),
        2 => What::GroupLeave(wire::GroupLeave {}),
        3 => What::GroupRemove(wire::GroupRemove { uid: uid(u)?, ban: u.arbitrary()? }),
        4 => What::GroupUnban(wire::GroupUnban { uid: uid(u)? }),
        5 => What::GroupRole(wire::GroupRole { uid: uid(u)?, role: choice(u)? }),
        6 => What::GroupTransfer(wire::GroupTransfer { uid: uid(u)? }),
        7 => What::GroupAdmit(wire::GroupAdmit { uid: uid(u)?, refuse: u.arbitrary()? }),
        _ => What::GroupGrown(wire::GroupGrown {}),
    })
}

fn about_groups(u: &mut Unstructured<'_>) -> Result<What> {
    Ok(match u.int_in_range(0..=5)? {
        0..=2 => {
            let settings = maybe(u, |u| {
                Ok(wire::GroupSettings {
                    title: text(u)?,
                    description: text(u)?,
                    join: choice(u)?,
                    history_for_new: u.arbitrary()?,
                    may_post: choice(u)?,
                    may_invite: choice(u)?,
                    may_pin: choice(u)?,
                    may_describe: choice(u)?,
                    may_mention_all: choice(u)?,
                })
            })?;
            What::GroupCreate(wire::GroupCreate { settings, members: many(u, uid)? })
        }
        3 => What::GroupUpdate(wire::GroupUpdate {
            title: maybe(u, text)?,
            description: maybe(u, text)?,
            join: maybe(u, choice)?,
            history_for_new: u.arbitrary()?,
            may_post: maybe(u, choice)?,
            may_invite: maybe(u, choice)?,
            may_pin: maybe(u, choice)?,
            may_describe: maybe(u, choice)?,
            may_mention_all: maybe(u, choice)?,
        }),
        4 => What::GroupLink(wire::GroupLink { revoke: u.arbitrary()? }),
        _ => What::GroupDissolve(wire::GroupDissolve {}),
    })
}

fn about_oneself(u: &mut Unstructured<'_>) -> Result<What> {
    Ok(match u.int_in_range(0..=3)? {
        0 => What::Read(wire::Read { cseq: cseq(u)? }),
        1 => What::Arrange(wire::Arrange {
            pinned: u.arbitrary()?,
            muted_until_ms: maybe(u, number)?,
            archived: u.arbitrary()?,
            draft: maybe(u, bytes)?,
        }),
        2 => What::Privacy(wire::Privacy {
            write: choice(u)?,
            add_to_groups: choice(u)?,
            presence: choice(u)?,
            no_receipts: u.arbitrary()?,
        }),
        _ => What::Contact(wire::ContactAct { what: choice(u)? }),
    })
}

pub fn request(u: &mut Unstructured<'_>) -> Result<wire::Request> {
    let id = number(u)?;
    let op = match u.int_in_range(0..=11)? {
        0 | 1 => Op::History(wire::HistoryRequest {
            conversation: conversation(u)?,
            after: cseq(u)?,
            before: cseq(u)?,
            limit: limit(u)?,
            forward: u.arbitrary()?,
            around: cseq(u)?,
        }),
        2 => Op::Messages(wire::MessagesRequest { conversation: conversation(u)?, cseqs: many(u, cseq)? }),
        3 => Op::Conversations(wire::ConversationsRequest {
            after: number(u)?,
            limit: limit(u)?,
            conversation: if u.arbitrary()? { conversation(u)? } else { String::new() },
        }),
        4 => Op::Account(wire::AccountRequest {}),
        5 => Op::Group(wire::GroupRequest { group: conversation(u)? }),
        6 => Op::Members(wire::MembersRequest {
            group: conversation(u)?,
            after: number(u)?,
            limit: limit(u)?,
            role: choice(u)?,
        }),
        7 => {
            let message = wire::MessageId { conversation: conversation(u)?, cseq: cseq(u)? };
            let by_number = maybe(u, number)?.map(Which::SendNo);
            Op::Status(wire::StatusRequest { which: by_number.or(Some(Which::Message(message))) })
        }
        8 => Op::Presence(wire::PresenceRequest { uids: many(u, uid)?, replace: u.arbitrary()? }),
        9 => Op::Contacts(wire::ContactsRequest { after: number(u)?, limit: limit(u)? }),
        10 => Op::Privacy(wire::PrivacyRequest {}),
        _ => return Ok(wire::Request { id, op: None }),
    };
    Ok(wire::Request { id, op: Some(op) })
}

fn limit(u: &mut Unstructured<'_>) -> Result<u32> {
    Ok(if u8::arbitrary(u)? < 8 { number(u)? as u32 } else { u.int_in_range(0..=3)? })
}

/// The frame of a message, an act or a request.
pub fn frame(u: &mut Unstructured<'_>) -> Result<Frame> {
    let send = |send_no, to| wire::Send { send_no, to, ..Default::default() };
    Ok(match u.int_in_range(0..=2)? {
        0 => Frame::Request(request(u)?),
        1 => {
            let act = Some(Box::new(wire::Act { what: Some(act(u)?) }));
            Frame::Send(wire::Send { act, ..send(number(u)?, conversation(u)?) })
        }
        _ => {
            let (content, extras) = (bytes(u)?, extras(u)?);
            Frame::Send(wire::Send { content, extras, ..send(number(u)?, conversation(u)?) })
        }
    })
}
