//! Passing signals on: typing and the like. They are never stored, and the first to be dropped.

use hongyan_proto::{ConversationId, Uid, wire};

use crate::{
    base::number::{ConversationNo, UserNo},
    live::{channel::Channel, sessions::Sessions},
    log::{Log, is_member},
    store::StoreError,
};

/// The longest body of a signal, in bytes.
pub const MAX_SIGNAL: usize = 1024;
/// Members who get one signal to a group, the first of them who are online.
const MAX_RECEIVERS: usize = 500;
/// Members looked at in one step.
const MEMBERS: usize = 256;

/// Passes a signal on to who is online in its conversation; the sender does not hear whether anybody was.
pub async fn pass_on(log: &Log, sessions: &Sessions, channel: &Channel, from: &Uid, signal: wire::Signal) {
    let Ok(to) = ConversationId::new(&signal.to) else { return };
    if signal.body.len() > MAX_SIGNAL {
        return;
    }
    let (from, wire::Signal { body, typing, .. }) = (from.as_str().into(), signal);
    let passed = wire::Signal { from, body, typing, ..Default::default() };
    let done = match to {
        ConversationId::User(uid) => pass_to_user(log, sessions, channel.user, &uid, passed).await,
        ConversationId::Group(number) => {
            pass_to_group(log, sessions, channel.user, ConversationNo(number), passed).await
        }
    };
    if let Err(error) = done {
        tracing::debug!(%error, "a signal was dropped");
    }
}

async fn pass_to_user(
    log: &Log,
    sessions: &Sessions,
    from: UserNo,
    uid: &Uid,
    signal: wire::Signal,
) -> Result<(), StoreError> {
    let Some(recipient) = log.user_no(uid.as_str()).await? else { return Ok(()) };
    // Who is offline needs no reading of what they let others do.
    if sessions.is_online(recipient) && log.takes_from(recipient, from).await? {
        offer(sessions, recipient, &signal);
    }
    Ok(())
}

/// In a group above the fan-out threshold nobody hears who is writing.
async fn pass_to_group(
    log: &Log,
    sessions: &Sessions,
    from: UserNo,
    no: ConversationNo,
    signal: wire::Signal,
) -> Result<(), StoreError> {
    let Some(group) = log.conversation(no).await?.and_then(|record| record.group) else { return Ok(()) };
    let is_inside = log.member(no, from).await?.is_some_and(|member| is_member(member.role()));
    if group.large || group.dissolved || !is_inside {
        return Ok(());
    }
    let signal = wire::Signal { to: ConversationId::Group(no.0).to_string(), ..signal };
    let (mut after, mut receivers) = (0, 0);
    loop {
        let members = log.members(no, after, MEMBERS).await?;
        let Some((last, _)) = members.last() else { return Ok(()) };
        after = last.0;
        for (user, member) in members {
            if user != from && is_member(member.role()) && sessions.is_online(user) {
                offer(sessions, user, &signal);
                receivers += 1;
            }
            if receivers >= MAX_RECEIVERS {
                return Ok(());
            }
        }
    }
}

fn offer(sessions: &Sessions, user: UserNo, signal: &wire::Signal) {
    sessions.for_each_of(user, |channel| {
        channel.signal(signal.clone());
    });
}
