//! Who may do what in a conversation, and what comes of it, in the reference.

use hongyan_proto::wire::{self, Role, act::What};

use super::{
    conversation::Conversation,
    reference::{Nack, Outcome, RECEIPTS_UP_TO, Reference, WITHIN_MS, ensure, uid},
};

const ADMIN: i32 = Role::Admin as i32;
const OWNER: i32 = Role::Owner as i32;
/// What changes nothing is told to nobody.
const UNCHANGED: Outcome = Ok((0, 0));

pub fn act(all: &mut Reference, user: usize, no: u64, what: What) -> Outcome {
    match what {
        What::Read(read) => return read_up_to(all, user, no, read.cseq),
        What::Arrange(arrange) => {
            let view = all.conversations.get_mut(&no).unwrap().views.get_mut(&user).unwrap();
            view.pinned = arrange.pinned.unwrap_or(view.pinned);
            view.archived = arrange.archived.unwrap_or(view.archived);
            return UNCHANGED;
        }
        What::Edit(_) | What::Recall(_) | What::React(_) | What::Pin(_) | What::Disappear(_) => {
            return of_message(all, user, no, what);
        }
        _ => {}
    }
    ensure(all.conversations[&no].group.is_some(), Nack::NackInvalid)?;
    of_group(all, user, no, what)
}

fn read_up_to(all: &mut Reference, user: usize, no: u64, cseq: u64) -> Outcome {
    let silent = all.people[user].silent;
    let conversation = all.conversations.get_mut(&no).unwrap();
    let (cseq, before) = (cseq.min(conversation.end(user)), conversation.views[&user].read);
    if cseq <= before {
        return UNCHANGED;
    }
    conversation.views.get_mut(&user).unwrap().read = cseq;
    match &conversation.group {
        None if !silent && conversation.peer(user) != Some(user) => {
            conversation.views.get_mut(&user).unwrap().told_read = cseq;
        }
        Some(group) if !silent && !group.large && group.members.len() <= RECEIPTS_UP_TO => {
            for read in before + 1..=cseq {
                let line = &conversation.lines[read as usize - 1];
                if line.act.is_none() && line.author != user && group.members.contains(&line.author) {
                    let told = all.told.entry((line.author, no, user)).or_default();
                    *told = read.max(*told);
                }
            }
        }
        _ => {}
    }
    UNCHANGED
}

// ------------------------------------------------------------ messages

fn of_message(all: &mut Reference, user: usize, no: u64, what: What) -> Outcome {
    may_be_done(all, user, no, &what)?;
    let conversation = all.conversations.get_mut(&no).unwrap();
    match change_message(conversation, user, what) {
        Some(told) => Ok((conversation.announce(user, told), 0)),
        None => UNCHANGED,
    }
}

fn may_be_done(all: &Reference, user: usize, no: u64, what: &What) -> Result<(), Nack> {
    let group = all.conversations[&no].group.as_ref();
    match what {
        What::Edit(edit) => {
            let line = all.seen(user, no, edit.cseq)?;
            ensure(line.author == user, Nack::NackForbidden)?;
            ensure(all.now_ms <= line.time_ms + WITHIN_MS, Nack::NackTooLate)?;
            all.may_write(user, no)?;
        }
        What::Recall(recall) => {
            let moderates = group.is_some_and(|group| matches!(group.role(user), Role::Admin | Role::Owner));
            let line = all.seen(user, no, recall.cseq)?;
            ensure(line.author == user || moderates, Nack::NackForbidden)?;
            ensure(moderates || all.now_ms <= line.time_ms + WITHIN_MS, Nack::NackTooLate)?;
        }
        What::React(react) => {
            all.seen(user, no, react.cseq)?;
            match group {
                None => all.may_write(user, no)?,
                Some(group) => ensure(!group.dissolved, Nack::NackForbidden)?,
            }
        }
        _ => all.may_change(user, no, |group| group.settings.may_pin)?,
    }
    if let What::Pin(pin) = what
        && !pin.unpin
        && !all.conversations[&no].pins.contains(&pin.cseq)
    {
        all.seen(user, no, pin.cseq)?;
    }
    Ok(())
}

/// What is told of it; nothing if nothing has changed.
fn change_message(conversation: &mut Conversation, user: usize, what: What) -> Option<What> {
    let next = conversation.head() + 1;
    Some(match what {
        What::Edit(edit) => {
            conversation.line(edit.cseq).content = edit.content.clone();
            What::Edit(wire::Edit { cseq: edit.cseq, ..Default::default() })
        }
        What::Recall(recall) => {
            let line = conversation.line(recall.cseq);
            (line.recalled, line.content) = (next, Default::default());
            line.reactions.clear();
            let author = uid(line.author);
            conversation.pins.retain(|pin| *pin != recall.cseq);
            What::Recall(wire::Recall { author, ..recall })
        }
        What::React(react) => {
            let reactions = &mut conversation.line(react.cseq).reactions;
            let previous = reactions.get(&uid(user)).cloned().unwrap_or_default();
            if previous == react.reaction {
                return None;
            }
            match react.reaction.is_empty() {
                true => reactions.remove(&uid(user)),
                false => reactions.insert(uid(user), react.reaction.clone()),
            };
            What::React(wire::React { previous, ..react })
        }
        What::Pin(pin) => {
            if conversation.pins.contains(&pin.cseq) != pin.unpin {
                return None;
            }
            conversation.pins.retain(|pinned| *pinned != pin.cseq);
            if !pin.unpin {
                conversation.pins.push(pin.cseq);
            }
            What::Pin(pin)
        }
        What::Disappear(disappear) => {
            if conversation.disappear == disappear.after_s {
                return None;
            }
            conversation.disappear = disappear.after_s;
            What::Disappear(disappear)
        }
        other => other,
    })
}

// ------------------------------------------------------------ groups

fn of_group(all: &mut Reference, user: usize, no: u64, what: What) -> Outcome {
    match &what {
        What::GroupInvite(act) => invite(all, user, no, act),
        What::GroupAdmit(act) => admit(all, user, no, act),
        What::GroupLink(act) => link(all, user, no, act),
        What::GroupLeave(_) => leave(all, user, no),
        What::GroupRemove(act) => remove(all, user, no, act),
        _ => change_group(all, user, no, what),
    }
}

fn invite(all: &mut Reference, user: usize, no: u64, act: &wire::GroupInvite) -> Outcome {
    all.may_change(user, no, |group| group.settings.may_invite)?;
    let group = all.conversations[&no].group.as_ref();
    let added = all.addable(user, group, &act.uids);
    ensure(!added.is_empty(), Nack::NackNotFound)?;
    add(all, user, no, &added)
}

fn admit(all: &mut Reference, user: usize, no: u64, act: &wire::GroupAdmit) -> Outcome {
    all.may_change(user, no, |_| ADMIN)?;
    let asking = all.person(&act.uid).ok_or(Nack::NackNotFound)?;
    let group = all.conversations.get_mut(&no).unwrap().in_group()?;
    ensure(group.role(asking) == Role::Pending, Nack::NackNotFound)?;
    if act.refuse {
        group.pending.remove(&asking);
        return UNCHANGED;
    }
    add(all, user, no, &[asking])
}

fn add(all: &mut Reference, by: usize, no: u64, added: &[usize]) -> Outcome {
    let conversation = all.conversations.get_mut(&no).unwrap();
    conversation.add(added);
    let uids = added.iter().map(|user| uid(*user)).collect();
    let cseq = conversation.announce(by, What::GroupInvite(wire::GroupInvite { uids }));
    conversation.grow(by);
    Ok((cseq, 0))
}

fn link(all: &mut Reference, user: usize, no: u64, act: &wire::GroupLink) -> Outcome {
    all.may_change(user, no, |group| group.settings.may_invite)?;
    let made = (!act.revoke).then_some(all.now_ms);
    all.conversations.get_mut(&no).unwrap().in_group()?.link = made;
    UNCHANGED
}

fn leave(all: &mut Reference, user: usize, no: u64) -> Outcome {
    let conversation = all.conversations.get_mut(&no).unwrap();
    let group = conversation.in_group()?;
    let is_needed = group.role(user) == Role::Owner && group.members.len() > 1 && !group.dissolved;
    ensure(!is_needed, Nack::NackForbidden)?;
    let cseq = conversation.announce(user, What::GroupLeave(wire::GroupLeave {}));
    conversation.take_out(user);
    Ok((cseq, 0))
}

fn remove(all: &mut Reference, user: usize, no: u64, act: &wire::GroupRemove) -> Outcome {
    all.may_change(user, no, |_| ADMIN)?;
    let removed = all.person(&act.uid).ok_or(Nack::NackNotFound)?;
    let conversation = all.conversations.get_mut(&no).unwrap();
    let group = conversation.in_group()?;
    ensure(group.members.contains(&removed), Nack::NackNotFound)?;
    ensure((group.role(removed) as i32) < group.role(user) as i32, Nack::NackForbidden)?;
    if act.ban {
        group.banned.insert(removed);
    }
    let cseq = conversation.announce(user, What::GroupRemove(act.clone()));
    conversation.take_out(removed);
    Ok((cseq, 0))
}

/// What leaves the members as they are.
fn change_group(all: &mut Reference, user: usize, no: u64, what: What) -> Outcome {
    match &what {
        What::GroupUpdate(update) => {
            let describes = update.title.is_some();
            all.may_change(user, no, |group| if describes { group.settings.may_describe } else { ADMIN })?;
        }
        What::GroupUnban(_) => all.may_change(user, no, |_| ADMIN)?,
        _ => all.may_change(user, no, |_| OWNER)?,
    }
    let named = match &what {
        What::GroupUnban(wire::GroupUnban { uid })
        | What::GroupRole(wire::GroupRole { uid, .. })
        | What::GroupTransfer(wire::GroupTransfer { uid }) => all.person(uid).ok_or(Nack::NackNotFound)?,
        _ => user,
    };
    let conversation = all.conversations.get_mut(&no).unwrap();
    let group = conversation.in_group()?;
    let (role, is_member) = (group.role(named), group.members.contains(&named));
    match &what {
        What::GroupUpdate(update) => {
            let before = group.settings.clone();
            let settings = &mut group.settings;
            settings.title = update.title.clone().unwrap_or(before.title.clone());
            settings.history_for_new = update.history_for_new.unwrap_or(before.history_for_new);
            settings.may_post = update.may_post.unwrap_or(before.may_post);
            settings.join = update.join.unwrap_or(before.join);
            if *settings == before {
                return UNCHANGED;
            }
        }
        What::GroupUnban(_) => ensure(group.banned.remove(&named), Nack::NackNotFound)?,
        What::GroupRole(act) => {
            ensure(role != Role::None, Nack::NackNotFound)?;
            ensure(is_member && role != Role::Owner, Nack::NackInvalid)?;
            if role == act.role() {
                return UNCHANGED;
            }
            match act.role() {
                Role::Admin => group.admins.insert(named),
                _ => group.admins.remove(&named),
            };
        }
        What::GroupTransfer(_) => {
            ensure(role != Role::None, Nack::NackNotFound)?;
            ensure(is_member && named != user, Nack::NackInvalid)?;
            group.owner = Some(named);
            group.admins.remove(&named);
            group.admins.insert(user);
        }
        What::GroupDissolve(_) => (group.dissolved, group.link) = (true, None),
        _ => return Err(Nack::NackInvalid),
    }
    Ok((conversation.announce(user, what), 0))
}
