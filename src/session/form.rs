//! Whether a SEND has the form that docs/protocol.md asks for. Whether it is allowed is for the committer to say.

use hongyan_proto::{
    ConversationId, Uid,
    wire::{self, Audience, JoinPolicy, NackCode, Role, act::What, contact_act},
};
use prost::Message;

use crate::ops::op::{Addressed, Asked, Refusal};

/// uids in one act.
const MAX_UIDS: usize = 500;
const MAX_MENTIONS: usize = 50;
const MAX_REACTION: usize = 32;
const MAX_TITLE: usize = 128;
const MAX_DESCRIPTION: usize = 2048;
const MAX_DRAFT: usize = 4096;
const MAX_LINK: usize = 64;
/// What the server adds to a message or act before it is pushed, at the most: numbers, times, names.
const PUSH_RESERVE: usize = 512;
/// Messages that disappear do so within a year.
const MAX_STAY_S: u32 = 366 * 24 * 60 * 60;

type Checked<T> = Result<T, Refusal>;

pub fn check(send: wire::Send, limits: &wire::Limits) -> Checked<Addressed> {
    let max_content = limits.max_content as usize;
    check_size(&send, limits)?;
    let to = match send.to.as_str() {
        "" => None,
        to => Some(ConversationId::new(to).map_err(|_| invalid(TO))?),
    };
    let asked = match send.act.and_then(|act| act.what) {
        Some(_) if !send.content.is_empty() || send.extras.is_some() => {
            return Err(invalid("act: an act has no content and no extras beside it"));
        }
        Some(what) => Asked::Act(Box::new(act(what, max_content)?)),
        None => {
            check_content(send.content.len(), max_content)?;
            Asked::Message { content: send.content, extras: extras(send.extras)? }
        }
    };
    Ok(Addressed { to, asked })
}

const TO: &str = "to: use a uid (1 to 64 of the characters A-Z a-z 0-9 . _ @ -) or # and the number of a group";

fn invalid(reason: &'static str) -> Refusal {
    Refusal { code: NackCode::NackInvalid, reason: reason.into() }
}

fn ensure(holds: bool, reason: &'static str) -> Checked<()> {
    if holds { Ok(()) } else { Err(invalid(reason)) }
}

/// What a SEND carries has to fit the PUSH that brings it to others.
fn check_size(send: &wire::Send, limits: &wire::Limits) -> Checked<()> {
    let carried = send.content.len()
        + send.extras.as_ref().map_or(0, |extras| extras.encoded_len())
        + send.act.as_ref().map_or(0, |act| act.encoded_len());
    let reason = "the message with its mentions, or the act, does not fit a frame of max_frame in WELCOME";
    let fits = carried + PUSH_RESERVE <= limits.max_frame as usize;
    if fits { Ok(()) } else { Err(Refusal { code: NackCode::NackTooLarge, reason: reason.into() }) }
}

fn check_content(len: usize, max: usize) -> Checked<()> {
    let reason = "the content is larger than max_content in WELCOME";
    if len <= max { Ok(()) } else { Err(Refusal { code: NackCode::NackTooLarge, reason: reason.into() }) }
}

/// What a client may set in them; None if that is nothing.
fn extras(extras: Option<Box<wire::Extras>>) -> Checked<Option<Box<wire::Extras>>> {
    let Some(mut extras) = extras else { return Ok(None) };
    check_mentions(&extras.mentions)?;
    ensure(extras.expires_after_s <= MAX_STAY_S, "expires_after_s: at most one year")?;
    let wire::Extras { reply_to, mentions, mention_all, expires_after_s, .. } = std::mem::take(&mut *extras);
    *extras = wire::Extras { reply_to, mentions, mention_all, expires_after_s, ..Default::default() };
    Ok((*extras != wire::Extras::default()).then_some(extras))
}

fn check_mentions(mentions: &[String]) -> Checked<()> {
    ensure(mentions.len() <= MAX_MENTIONS, "mentions: at most 50")?;
    ensure(mentions.iter().all(|uid| Uid::is_valid(uid)), "mentions: name users by their uid")
}

fn act(mut what: What, max_content: usize) -> Checked<What> {
    match &mut what {
        What::Edit(edit) => {
            check_content(edit.content.len(), max_content)?;
            ensure(!edit.content.is_empty(), "content: an edit to nothing is a recall")?;
            check_mentions(&edit.mentions)?;
        }
        What::Recall(recall) => recall.author.clear(),
        What::React(react) => {
            react.previous.clear();
            ensure(react.reaction.len() <= MAX_REACTION, "reaction: at most 32 bytes")?;
        }
        What::Disappear(disappear) => ensure(disappear.after_s <= MAX_STAY_S, "after_s: at most one year")?,
        What::GroupCreate(create) => {
            check_settings(create.settings.as_ref())?;
            check_uids(&create.members)?;
        }
        What::GroupUpdate(update) => check_update(update)?,
        What::GroupInvite(invite) => check_uids(&invite.uids)?,
        What::GroupJoin(join) => ensure(join.link.len() <= MAX_LINK, "link: it is not a link of this server")?,
        What::GroupRole(act) => {
            let role = act.role();
            ensure(
                matches!(role, Role::Member | Role::Admin),
                "role: MEMBER or ADMIN; an owner is made by a transfer",
            )?;
        }
        What::GroupGrown(_) => return Err(invalid("act: only the server says that a group has grown")),
        What::Arrange(arrange) => {
            let draft = arrange.draft.as_ref().map_or(0, bytes::Bytes::len);
            ensure(draft <= MAX_DRAFT, "draft: at most 4,096 bytes")?;
        }
        What::Privacy(privacy) => {
            for audience in [privacy.write, privacy.add_to_groups, privacy.presence] {
                ensure(Audience::try_from(audience).is_ok(), "privacy: EVERYBODY, CONTACTS or NOBODY")?;
            }
        }
        What::Contact(act) => {
            ensure(contact_act::What::try_from(act.what).is_ok(), "contact: ASK, REMOVE, BLOCK or UNBLOCK")?;
        }
        _ => {}
    }
    Ok(what)
}

fn check_uids(uids: &[String]) -> Checked<()> {
    ensure(uids.len() <= MAX_UIDS, "uids: at most 500")?;
    ensure(uids.iter().all(|uid| Uid::is_valid(uid)), "uids: name users by their uid")
}

fn check_settings(settings: Option<&wire::GroupSettings>) -> Checked<()> {
    let Some(settings) = settings else { return Ok(()) };
    check_texts(&settings.title, &settings.description)?;
    let wire::GroupSettings { may_post, may_invite, may_pin, may_describe, may_mention_all, join, .. } = settings;
    ensure(JoinPolicy::try_from(*join).is_ok(), JOIN)?;
    // Absent means the default.
    [may_post, may_invite, may_pin, may_describe, may_mention_all]
        .into_iter()
        .try_for_each(|role| if *role == 0 { Ok(()) } else { check_role(*role) })
}

fn check_update(update: &wire::GroupUpdate) -> Checked<()> {
    check_texts(update.title.as_deref().unwrap_or_default(), update.description.as_deref().unwrap_or_default())?;
    let wire::GroupUpdate { may_post, may_invite, may_pin, may_describe, may_mention_all, join, .. } = update;
    ensure(join.is_none_or(|join| JoinPolicy::try_from(join).is_ok()), JOIN)?;
    [may_post, may_invite, may_pin, may_describe, may_mention_all]
        .into_iter()
        .flatten()
        .copied()
        .try_for_each(check_role)
}

const JOIN: &str = "join: CLOSED, LINK, REQUEST or OPEN";

fn check_texts(title: &str, description: &str) -> Checked<()> {
    ensure(title.len() <= MAX_TITLE, "title: at most 128 bytes")?;
    ensure(description.len() <= MAX_DESCRIPTION, "description: at most 2,048 bytes")
}

fn check_role(role: i32) -> Checked<()> {
    let is_rank = matches!(Role::try_from(role), Ok(Role::Member | Role::Admin | Role::Owner));
    ensure(is_rank, "a setting of a group names MEMBER, ADMIN or OWNER")
}

#[cfg(test)]
mod tests {
    use hongyan_proto::{server::encode_item, wire::entry::Item};

    use super::*;

    #[test]
    fn whatever_is_taken_fits_the_frame_that_brings_it_to_others() {
        let limits = wire::Limits { max_frame: 16 << 10, max_content: 15 << 10, ..Default::default() };
        let name = "n".repeat(64);
        let mentions = vec![name.clone(); MAX_MENTIONS];
        let extras = || wire::Extras { reply_to: u64::MAX, mentions: mentions.clone(), ..Default::default() };
        let of = |len: usize| wire::Send {
            to: name.clone(),
            content: vec![7; len].into(),
            extras: Some(extras().into()),
            ..Default::default()
        };
        let taken = |len: usize| check(of(len), &limits).map_err(|refusal| refusal.code);
        let largest = (0..15 << 10).rfind(|len| taken(*len).is_ok()).unwrap();
        assert_eq!(taken(largest + 1).err(), Some(NackCode::NackTooLarge));
        let set_by_server = wire::Extras {
            expires_after_s: u32::MAX,
            expires_ms: u64::MAX,
            forwarded_from: name.clone(),
            edited_ms: u64::MAX,
            edited_cseq: u64::MAX,
            ..extras()
        };
        let wire::Send { to, content, .. } = of(largest);
        let message = wire::Message {
            from: name.clone(),
            to,
            cseq: u64::MAX,
            time_ms: u64::MAX,
            content,
            extras: Some(set_by_server.into()),
            act: None,
        };
        let numbers = 2 * 11 + 1;
        let pushed = encode_item(Item::Message(message)).len() + numbers;
        assert!(pushed <= limits.max_frame as usize, "{pushed}");
        let without = wire::Send { content: vec![7; 15 << 10].into(), ..Default::default() };
        assert!(check(without, &limits).is_ok(), "max_content alone always fits");
    }
}
