//! What is done with single messages and in conversations.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hongyan_client::{Act, Arrangement, Content, ConversationId, NewMessage, Uid};

use super::submit::{submit, submit_with};
use crate::{
    args::{Arrange, Carried, Talk},
    exit::{Exit, Failure},
    session::Login,
    slot::Family,
};

pub async fn run(login: &Login, talk: &Talk) -> Result<Exit, Failure> {
    match talk {
        Talk::Reply { to, cseq, text } => {
            submit(login, NewMessage::new(to, Content::text(&text.join(" "))).reply_to(*cseq)).await
        }
        Talk::Edit { conversation, cseq, text } => {
            submit(login, Act::edit(conversation, *cseq, Content::text(&text.join(" ")))).await
        }
        Talk::Recall { conversation, cseq } => submit(login, Act::recall(conversation, *cseq)).await,
        Talk::React { conversation, cseq, reaction } => {
            submit(login, Act::react(conversation, *cseq, reaction.as_deref().unwrap_or_default())).await
        }
        Talk::Forward { from, cseq, to } => submit(login, Act::forward(to, from, *cseq)).await,
        Talk::Pin { conversation, cseq, remove: false } => submit(login, Act::pin(conversation, *cseq)).await,
        Talk::Pin { conversation, cseq, remove: true } => submit(login, Act::unpin(conversation, *cseq)).await,
        Talk::Disappear { conversation, after } => submit(login, Act::disappear(conversation, *after)).await,
        Talk::Read { conversation, cseq: Some(cseq) } => submit(login, Act::read(conversation, *cseq)).await,
        Talk::Read { conversation, cseq: None } => read_all(login, conversation).await,
        Talk::Typing { conversation } => typing(login, conversation).await,
        Talk::Arrange(how) => submit(login, Act::arrange(&how.conversation, arrangement(how)?)).await,
    }
}

async fn read_all(login: &Login, id: &ConversationId) -> Result<Exit, Failure> {
    let output = login.output;
    let session = login.open(Family::Sender).await?;
    session
        .with_events_dropped(output, async |client| {
            let Some(row) = client.conversation(id).await? else {
                return Err(Failure::new(Exit::Refused, format!("there is no conversation with {id}")));
            };
            submit_with(client, output, Act::read(id, row.head_cseq)).await?;
            Ok(Exit::Done)
        })
        .await
}

async fn typing(login: &Login, id: &ConversationId) -> Result<Exit, Failure> {
    let session = login.open(Family::Sender).await?;
    session
        .with_events_dropped(login.output, async |client| {
            client.typing(id).await?;
            // Its answer proves that the signal has left.
            client.ping().await?;
            Ok(Exit::Done)
        })
        .await
}

fn arrangement(how: &Arrange) -> Result<Arrangement, Failure> {
    let either = |yes: bool, no: bool| (yes || no).then_some(yes);
    let until = |time: Duration| {
        let until = SystemTime::now() + time;
        until.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    };
    let arrangement = Arrangement {
        pinned: either(how.pin, how.unpin),
        muted_until_ms: if how.unmute { Some(0) } else { how.mute.map(until) },
        archived: either(how.archive, how.unarchive),
        draft: how.draft.as_ref().map(|draft| draft.clone().into()),
    };
    if arrangement == Arrangement::default() {
        return Err(Failure::usage("say what to arrange: --pin, --mute, --archive or --draft; --help lists all"));
    }
    Ok(arrangement)
}

/// A message with what was asked for on the command line.
pub fn new_message(to: &ConversationId, text: &str, carried: &Carried) -> Result<NewMessage, Failure> {
    let mut message = NewMessage::new(to, Content::text(text));
    if let Some(cseq) = carried.reply_to {
        message = message.reply_to(cseq);
    }
    for uid in &carried.mention {
        message = message.mention(&Uid::new(uid)?);
    }
    if carried.mention_all {
        message = message.mention_all();
    }
    if let Some(time) = carried.expires {
        message = message.expires_after(time);
    }
    Ok(message)
}
