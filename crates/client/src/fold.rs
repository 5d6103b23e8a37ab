//! How entries change a line of the conversation list. Pure, and the same on all devices of a user: at rest their lists
//! are equal, whatever each has been told and when.
//!
//! All numbers of a row are as of its `head_cseq`: what stands at or below that is counted already.

use hongyan_proto::{
    Bytes,
    wire::{self, Role, act::What},
};

use crate::content::Content;

/// Bytes of the newest message that are kept; of a longer text its beginning, of anything else that is longer nothing.
const MAX_LAST: usize = 1024;
/// Characters of a longer text.
const BEGINNING: usize = 256;
/// From here on `unread` means: or more.
const MAX_UNREAD: u32 = 1000;

/// Counts a message or act. True: the row cannot tell exactly any more, and must be asked for.
pub fn on_message(row: &mut wire::Conversation, me: &str, message: &wire::Message) -> bool {
    if row.last.as_ref().is_none_or(|last| last.cseq < message.cseq) {
        row.last = Some(in_short(message));
    }
    if message.cseq <= row.head_cseq {
        return false;
    }
    row.head_cseq = message.cseq;
    match message.act.as_ref().map(|act| &act.what) {
        None => {
            row.unread = (row.unread + u32::from(message.from != me)).min(MAX_UNREAD);
            false
        }
        Some(Some(what)) => on_act(row, me, &message.from, what),
        Some(None) => false,
    }
}

fn on_act(row: &mut wire::Conversation, me: &str, by: &str, what: &What) -> bool {
    match what {
        What::Recall(recall) => {
            row.pins.retain(|pin| *pin != recall.cseq);
            let counted = recall.cseq > row.read_cseq && recall.cseq >= row.first_cseq && recall.author != me;
            if counted && row.unread == MAX_UNREAD {
                return true;
            }
            row.unread = row.unread.saturating_sub(counted.into());
        }
        What::Pin(pin) => {
            row.pins.retain(|pinned| *pinned != pin.cseq);
            // Who came later does not see what was before.
            if !pin.unpin && pin.cseq >= row.first_cseq {
                row.pins.push(pin.cseq);
            }
        }
        What::Disappear(disappear) => row.disappear_after_s = disappear.after_s,
        _ => {
            if let Some(group) = &mut row.group {
                on_group_act(group, me, by, what);
            }
        }
    }
    false
}

fn on_group_act(group: &mut wire::Group, me: &str, by: &str, what: &What) {
    match what {
        What::GroupUpdate(update) => update_settings(group.settings.get_or_insert_default(), update),
        What::GroupInvite(invite) => group.members += invite.uids.len() as u32,
        What::GroupJoin(_) => group.members += 1,
        What::GroupLeave(_) | What::GroupRemove(_) => {
            group.members = group.members.saturating_sub(1);
            // An owner leaves what they have dissolved.
            if matches!(what, What::GroupLeave(_)) && group.owner == by {
                group.owner.clear();
            }
        }
        What::GroupRole(role) if role.uid == me => group.role = role.role,
        What::GroupTransfer(transfer) => {
            group.owner.clone_from(&transfer.uid);
            if transfer.uid == me {
                group.role = Role::Owner.into();
            } else if by == me {
                group.role = Role::Admin.into();
            }
        }
        What::GroupDissolve(_) => group.dissolved = true,
        What::GroupGrown(_) => group.large = true,
        _ => {}
    }
}

fn update_settings(settings: &mut wire::GroupSettings, update: &wire::GroupUpdate) {
    let wire::GroupUpdate { title, description, join, history_for_new, .. } = update.clone();
    settings.title = title.unwrap_or(std::mem::take(&mut settings.title));
    settings.description = description.unwrap_or(std::mem::take(&mut settings.description));
    settings.join = join.unwrap_or(settings.join);
    settings.history_for_new = history_for_new.unwrap_or(settings.history_for_new);
    for (role, new) in [
        (&mut settings.may_post, update.may_post),
        (&mut settings.may_invite, update.may_invite),
        (&mut settings.may_pin, update.may_pin),
        (&mut settings.may_describe, update.may_describe),
        (&mut settings.may_mention_all, update.may_mention_all),
    ] {
        *role = new.unwrap_or(*role);
    }
}

/// Counts a receipt of the peer. True: it says something new.
pub fn on_receipt(row: &mut wire::Conversation, receipt: &wire::Receipt) -> bool {
    let read = row.peer_read_cseq.max(receipt.read_cseq);
    let delivered = row.peer_delivered_cseq.max(receipt.delivered_cseq).max(read);
    let is_new = (delivered, read) != (row.peer_delivered_cseq, row.peer_read_cseq);
    (row.peer_delivered_cseq, row.peer_read_cseq) = (delivered, read);
    is_new
}

/// A row as it is kept: a link is told to whoever asks for the group, and the newest thing stands there in short.
pub fn as_kept(mut row: wire::Conversation) -> wire::Conversation {
    if let Some(group) = &mut row.group {
        group.link.clear();
    }
    row.last = row.last.as_ref().map(in_short);
    row
}

/// What a list shows of a message: the same on the device that sent it, which never gets it back.
fn in_short(message: &wire::Message) -> wire::Message {
    let wire::Message { from, cseq, time_ms, content, extras, act, .. } = message.clone();
    let kept = extras.map(|extras| {
        let wire::Extras { expires_ms, forwarded_from, gone, .. } = *extras;
        wire::Extras { expires_ms, forwarded_from, gone, ..Default::default() }
    });
    let extras = kept.filter(|kept| *kept != wire::Extras::default()).map(Box::new);
    let act = act.map(|mut act| {
        if let Some(What::Edit(edit)) = &mut act.what {
            *edit = wire::Edit { cseq: edit.cseq, ..Default::default() };
        }
        act
    });
    wire::Message { from, cseq, time_ms, content: beginning(content), extras, act, ..Default::default() }
}

fn beginning(content: Bytes) -> Bytes {
    if content.len() <= MAX_LAST {
        return content;
    }
    let text = Content::as_text(&content).map(|text| text.chars().take(BEGINNING).collect::<String>());
    text.map_or_else(Bytes::new, |text| Content::text(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(from: &str, cseq: u64) -> wire::Message {
        wire::Message { from: from.into(), cseq, content: "x".into(), ..Default::default() }
    }

    fn act(from: &str, cseq: u64, what: What) -> wire::Message {
        wire::Message { act: Some(Box::new(wire::Act { what: Some(what) })), content: "".into(), ..message(from, cseq) }
    }

    fn recall(cseq: u64, target: u64, author: &str) -> wire::Message {
        act(author, cseq, What::Recall(wire::Recall { cseq: target, author: author.into() }))
    }

    fn fold(row: &mut wire::Conversation, messages: &[wire::Message]) -> bool {
        messages.iter().filter(|message| on_message(row, "me", message)).count() > 0
    }

    #[test]
    fn only_what_others_write_above_the_head_is_unread() {
        let mut row = wire::Conversation { head_cseq: 2, unread: 1, ..Default::default() };
        let pin = act("bob", 5, What::Pin(wire::Pin { cseq: 1, unpin: false }));
        fold(&mut row, &[message("bob", 2), message("bob", 3), message("me", 4), pin.clone(), pin, message("bob", 3)]);
        assert_eq!((row.head_cseq, row.unread, &row.pins[..]), (5, 2, &[1][..]));
        let mut late = wire::Conversation { head_cseq: 4, first_cseq: 2, ..Default::default() };
        fold(&mut late, &[act("bob", 5, What::Pin(wire::Pin { cseq: 1, unpin: false }))]);
        assert_eq!(late.pins, [], "what was before one came is not seen");
        assert_eq!(row.last.map(|last| last.cseq), Some(5));
    }

    #[test]
    fn what_is_taken_back_counts_no_more_unless_it_was_read_or_ones_own() {
        let row = wire::Conversation { head_cseq: 9, read_cseq: 5, first_cseq: 3, unread: 3, ..Default::default() };
        for (target, author, unread) in [(6, "bob", 2), (5, "bob", 3), (6, "me", 3)] {
            let mut row = row.clone();
            assert!(!fold(&mut row, &[recall(10, target, author), recall(10, target, author)]));
            assert_eq!(row.unread, unread, "{target} of {author}");
        }
        let mut new = wire::Conversation { first_cseq: 8, read_cseq: 0, ..row.clone() };
        fold(&mut new, &[recall(10, 7, "bob")]);
        assert_eq!(new.unread, 3, "it was never seen");
        let mut counted = row;
        fold(&mut counted, &[recall(9, 6, "bob")]);
        assert_eq!(counted.unread, 3, "it is in the row already");
    }

    #[test]
    fn a_count_that_ends_at_its_cap_is_asked_for() {
        let mut row = wire::Conversation { unread: 999, ..Default::default() };
        assert!(!fold(&mut row, &[message("bob", 1), message("bob", 2)]));
        assert_eq!(row.unread, MAX_UNREAD);
        assert!(fold(&mut row, &[recall(3, 1, "bob")]));
        assert_eq!(row.unread, MAX_UNREAD);
    }

    #[test]
    fn a_group_is_what_its_acts_have_made_of_it() {
        let group = wire::Group { members: 3, role: Role::Owner.into(), owner: "me".into(), ..Default::default() };
        let mut row = wire::Conversation { group: Some(group), ..Default::default() };
        let update = wire::GroupUpdate { title: Some("geese".into()), may_post: Some(2), ..Default::default() };
        let uid = || "bob".to_owned();
        fold(
            &mut row,
            &[
                act("me", 1, What::GroupUpdate(update)),
                act("me", 2, What::GroupInvite(wire::GroupInvite { uids: vec!["dan".into(), "eve".into()] })),
                act("fay", 3, What::GroupJoin(wire::GroupJoin::default())),
                act("me", 4, What::GroupRemove(wire::GroupRemove { uid: "dan".into(), ban: true })),
                act("eve", 5, What::GroupLeave(wire::GroupLeave {})),
                act("me", 6, What::GroupTransfer(wire::GroupTransfer { uid: uid() })),
                act("bob", 7, What::GroupGrown(wire::GroupGrown {})),
            ],
        );
        let group = row.group.unwrap();
        let settings = group.settings.clone().unwrap();
        assert_eq!((settings.title.as_str(), settings.may_post, group.members), ("geese", 2, 4));
        assert_eq!((group.owner.as_str(), group.role(), group.large), ("bob", Role::Admin, true));
        assert_eq!(row.unread, 0);
    }

    #[test]
    fn receipts_only_go_up() {
        let mut row = wire::Conversation::default();
        let receipt = |delivered_cseq, read_cseq| wire::Receipt { delivered_cseq, read_cseq, ..Default::default() };
        assert!(on_receipt(&mut row, &receipt(4, 0)));
        assert!(on_receipt(&mut row, &receipt(0, 5)));
        assert!(!on_receipt(&mut row, &receipt(4, 3)));
        assert_eq!((row.peer_delivered_cseq, row.peer_read_cseq), (5, 5), "what was read was delivered");
    }

    #[test]
    fn the_newest_thing_is_kept_in_short() {
        let edit = wire::Edit { cseq: 1, content: "secret".into(), mention_all: true, ..Default::default() };
        let row = wire::Conversation { last: Some(act("bob", 2, What::Edit(edit))), ..Default::default() };
        let row = as_kept(wire::Conversation {
            group: Some(wire::Group { link: "secret".into(), ..Default::default() }),
            ..row
        });
        assert!(!format!("{row:?}").contains("secret"));
        let long = wire::Message { content: Content::text(&"é".repeat(2_000)), ..message("bob", 1) };
        assert_eq!(in_short(&long).content, Content::text(&"é".repeat(BEGINNING)));
        assert!(in_short(&wire::Message { content: vec![0xff; 2_000].into(), ..long }).content.is_empty());
        let extras = Some(Box::new(wire::Extras { reply_to: 4, mention_all: true, ..Default::default() }));
        assert_eq!(in_short(&wire::Message { extras, ..message("bob", 1) }), message("bob", 1));
    }
}
