//! Who may do what in a conversation, and what comes of it, in the reference.

use hongyan_proto::wire::{self, Role, act::What};

use super::reference::{Nack, Outcome, RECEIPTS_UP_TO, Reference, WITHIN_MS, ensure, uid};

pub fn act(all: &mut Reference, user: usize, no: u64, what: What) -> Outcome {
    match what {
        What::Read(read) => return read_up_to(all, user, no, read.cseq),
        What::Arrange(arrange) => {
            let view = all.conversations.get_mut(&no).unwrap().views.get_mut(&user).unwrap();
            view.pinned = arrange.pinned.unwrap_or(view.pinned);
            view.archived = arrange.archived.unwrap_or(view.archived);
            return Ok((0, 0));
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
        return Ok((0, 0));
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
    Ok((0, 0))
}

fn of_message(all: &mut Reference, user: usize, no: u64, what: What) -> Outcome {
    match &what {
        What::Edit(edit) => {
            let line = all.seen(user, no, edit.cseq)?;
            ensure(line.author == user, Nack::NackForbidden)?;
            ensure(all.now_ms <= line.time_ms + WITHIN_MS, Nack::NackTooLate)?;
            all.may_write(user, no)?;
        }
        What::Recall(recall) => {
            let moderates = all.conversations[&no].group.as_ref();
            let moderates = moderates.is_some_and(|group| matches!(group.role(user), Role::Admin | Role::Owner));
            let line = all.seen(user, no, recall.cseq)?;
            ensure(line.author == user || moderates, Nack::NackForbidden)?;
            ensure(moderates || all.now_ms <= line.time_ms + WITHIN_MS, Nack::NackTooLate)?;
        }
        What::React(react) => {
            all.seen(user, no, react.cseq)?;
            match &all.conversations[&no].group {
                None => all.may_write(user, no)?,
                Some(group) => ensure(!group.dissolved, Nack::NackForbidden)?,
            }
        }
        _ => all.may_change(user, no, |group| group.settings.may_pin)?,
    }
    if let What::Pin(pin) = &what
        && !pin.unpin
        && !all.conversations[&no].pins.contains(&pin.cseq)
    {
        all.seen(user, no, pin.cseq)?;
    }
    let conversation = all.conversations.get_mut(&no).unwrap();
    let next = conversation.head() + 1;
    let what = match what {
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
                return Ok((0, 0));
            }
            match react.reaction.is_empty() {
                true => reactions.remove(&uid(user)),
                false => reactions.insert(uid(user), react.reaction.clone()),
            };
            What::React(wire::React { previous, ..react })
        }
        What::Pin(pin) => {
            if conversation.pins.contains(&pin.cseq) != pin.unpin {
                return Ok((0, 0));
            }
            conversation.pins.retain(|pinned| *pinned != pin.cseq);
            if !pin.unpin {
                conversation.pins.push(pin.cseq);
            }
            What::Pin(pin)
        }
        What::Disappear(disappear) => {
            if conversation.disappear == disappear.after_s {
                return Ok((0, 0));
            }
            conversation.disappear = disappear.after_s;
            What::Disappear(disappear)
        }
        other => other,
    };
    Ok((conversation.announce(user, what), 0))
}

fn of_group(all: &mut Reference, user: usize, no: u64, what: What) -> Outcome {
    const ADMIN: i32 = Role::Admin as i32;
    const OWNER: i32 = Role::Owner as i32;
    match &what {
        What::GroupUpdate(update) => {
            let describes = update.title.is_some();
            all.may_change(user, no, |group| if describes { group.settings.may_describe } else { ADMIN })?;
        }
        What::GroupInvite(invite) => {
            all.may_change(user, no, |group| group.settings.may_invite)?;
            let group = all.conversations[&no].group.as_ref();
            let added = all.addable(user, group, &invite.uids);
            ensure(!added.is_empty(), Nack::NackNotFound)?;
            let conversation = all.conversations.get_mut(&no).unwrap();
            conversation.add(&added);
            let uids = added.iter().map(|user| uid(*user)).collect();
            let cseq = conversation.announce(user, What::GroupInvite(wire::GroupInvite { uids }));
            conversation.grow(user);
            return Ok((cseq, 0));
        }
        What::GroupLeave(_) => {}
        What::GroupLink(link) => {
            all.may_change(user, no, |group| group.settings.may_invite)?;
            let made = (!link.revoke).then_some(all.now_ms);
            all.conversations.get_mut(&no).unwrap().in_group()?.link = made;
            return Ok((0, 0));
        }
        What::GroupAdmit(admit) => {
            all.may_change(user, no, |_| ADMIN)?;
            let asking = all.person(&admit.uid).ok_or(Nack::NackNotFound)?;
            let conversation = all.conversations.get_mut(&no).unwrap();
            ensure(conversation.in_group()?.role(asking) == Role::Pending, Nack::NackNotFound)?;
            if admit.refuse {
                conversation.in_group()?.pending.remove(&asking);
                return Ok((0, 0));
            }
            conversation.add(&[asking]);
            let uids = vec![uid(asking)];
            let cseq = conversation.announce(user, What::GroupInvite(wire::GroupInvite { uids }));
            conversation.grow(user);
            return Ok((cseq, 0));
        }
        What::GroupRemove(_) | What::GroupUnban(_) => all.may_change(user, no, |_| ADMIN)?,
        _ => all.may_change(user, no, |_| OWNER)?,
    }
    let named = |name: &str| all.person(name).ok_or(Nack::NackNotFound);
    let named = match &what {
        What::GroupRemove(act) => named(&act.uid)?,
        What::GroupUnban(act) => named(&act.uid)?,
        What::GroupRole(act) => named(&act.uid)?,
        What::GroupTransfer(act) => named(&act.uid)?,
        _ => user,
    };
    let conversation = all.conversations.get_mut(&no).unwrap();
    let group = conversation.in_group()?;
    let (mine, theirs) = (group.role(user), group.role(named));
    let is_member = group.members.contains(&named);
    match &what {
        What::GroupUpdate(update) => {
            let before = group.settings.clone();
            let settings = &mut group.settings;
            settings.title = update.title.clone().unwrap_or(before.title.clone());
            settings.history_for_new = update.history_for_new.unwrap_or(before.history_for_new);
            settings.may_post = update.may_post.unwrap_or(before.may_post);
            settings.join = update.join.unwrap_or(before.join);
            if *settings == before {
                return Ok((0, 0));
            }
        }
        What::GroupLeave(_) => {
            ensure(mine != Role::Owner || group.members.len() == 1 || group.dissolved, Nack::NackForbidden)?;
            let cseq = conversation.announce(user, what);
            conversation.take_out(user);
            return Ok((cseq, 0));
        }
        What::GroupRemove(act) => {
            ensure(is_member, Nack::NackNotFound)?;
            ensure((theirs as i32) < mine as i32, Nack::NackForbidden)?;
            if act.ban {
                group.banned.insert(named);
            }
            let cseq = conversation.announce(user, what);
            conversation.take_out(named);
            return Ok((cseq, 0));
        }
        What::GroupUnban(_) => ensure(group.banned.remove(&named), Nack::NackNotFound)?,
        What::GroupRole(act) => {
            ensure(theirs != Role::None, Nack::NackNotFound)?;
            ensure(is_member && theirs != Role::Owner, Nack::NackInvalid)?;
            if theirs == act.role() {
                return Ok((0, 0));
            }
            match act.role() {
                Role::Admin => group.admins.insert(named),
                _ => group.admins.remove(&named),
            };
        }
        What::GroupTransfer(_) => {
            ensure(theirs != Role::None, Nack::NackNotFound)?;
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
