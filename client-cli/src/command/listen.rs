//! `listen`: messages, and what is done in conversations, as they come.

use std::{collections::HashSet, time::Duration};

use hongyan_client::{ConversationId, Entry, Event, Events, StartAt};
use tokio::time::Instant;

use crate::{
    args::Since,
    exit::{Exit, Failure},
    output::Output,
    record::Record,
    session::{ConnectionNotes, Login},
    slot::Family,
    terminal::interrupted,
    text::{count, harmless},
};

/// What ends a listening.
#[derive(Clone, Copy)]
pub struct Until {
    pub count: Option<u64>,
    pub timeout: Option<Duration>,
}

pub async fn run(login: &Login, until: Until, since: Option<Since>) -> Result<Exit, Failure> {
    if since.is_some() && login.setup.device.is_some() && !login.setup.ephemeral {
        return Err(Failure::usage("--since looks as a device of its own: leave out --device, or add --ephemeral"));
    }
    let deadline = until.timeout.map(|timeout| Instant::now() + timeout);
    let mut session = match since {
        None => login.open(Family::Reader).await?,
        Some(Since::New) => login.open_ephemeral(StartAt::Head).await?,
        Some(Since::All | Since::After(_)) => login.open_ephemeral(StartAt::Remembered).await?,
    };
    let after = if let Some(Since::After(useq)) = since { useq } else { 0 };
    let mut listening = Listening {
        output: login.output,
        after,
        count: until.count,
        notes: ConnectionNotes::default(),
        left: HashSet::new(),
    };
    let over = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = listening.follow(&mut session.events) => ended,
        signal = interrupted() => signal.map(|()| Exit::Done),
        () = over => Ok(if until.count.is_some() { Exit::TimedOut } else { Exit::Done }),
    };
    session.client.close().await;
    match ended {
        Ok(Exit::TimedOut) => {
            let missing = count(listening.count.unwrap_or(0) as usize, "message");
            Err(Failure::new(Exit::TimedOut, format!("timed out, {missing} short")))
        }
        ended => ended,
    }
}

struct Listening {
    output: Output,
    /// Messages up to this useq are not shown.
    after: u64,
    /// Messages that are still to be shown.
    count: Option<u64>,
    notes: ConnectionNotes,
    /// Groups that one was told to have left; their line may come several times.
    left: HashSet<ConversationId>,
}

impl Listening {
    /// Shows events until the count is full. An event is marked as handled only after its line was written.
    async fn follow(&mut self, events: &mut Events) -> Result<Exit, Failure> {
        while let Some(event) = events.next().await {
            if let Event::Stopped(error) = event {
                return Err(error.into());
            }
            self.show(&event)?;
            if self.count == Some(0) {
                events.handled();
                return Ok(Exit::Done);
            }
        }
        Ok(Exit::Done)
    }

    fn show(&mut self, event: &Event) -> Result<(), Failure> {
        if let Some(note) = self.notes.of(event) {
            self.output.note(&note);
        }
        match event {
            // Messages that follow a reset have no number.
            Event::Message(message) if message.useq == 0 || message.useq > self.after => {
                self.output.entry(&Entry::Message(message.clone()))?;
                self.count = self.count.map(|count| count - 1);
            }
            Event::Changed(changed) if changed.useq == 0 || changed.useq > self.after => {
                self.output.entry(&Entry::Changed(changed.clone()))?;
            }
            event if self.output.json => {
                if let Some(record) = record(event) {
                    self.output.record(&record)?;
                }
            }
            Event::Conversation(row) => {
                if !row.former {
                    self.left.remove(&row.id);
                } else if self.left.insert(row.id.clone()) {
                    self.output.line(&format!("you are no member of {} any more", row.id))?;
                }
            }
            event => {
                if let Some(line) = line(event) {
                    self.output.line(&line)?;
                }
            }
        }
        Ok(())
    }
}

/// What else is told to programs.
fn record(event: &Event) -> Option<Record<'_>> {
    Some(match event {
        Event::Receipt(receipt) => Record::Receipt(receipt.into()),
        Event::Conversation(row) => Record::Conversation((&**row).into()),
        Event::Contact(contact) => Record::Contact(contact.into()),
        Event::JoinRequest(request) => Record::join_request(request),
        Event::Presence(presence) => Record::presence(presence),
        Event::Typing { conversation, from } => {
            Record::Typing { conversation: conversation.to_string(), from: from.as_str() }
        }
        Event::Skipped { conversation, after_cseq, before_cseq } => {
            let (after_cseq, before_cseq) = (*after_cseq, *before_cseq);
            Record::Skipped { conversation: conversation.to_string(), after_cseq, before_cseq }
        }
        Event::Reset => Record::Reset,
        _ => return None,
    })
}

/// What else is told to people: what they can do something about.
fn line(event: &Event) -> Option<String> {
    match event {
        Event::JoinRequest(request) if !request.settled => {
            let (uid, group) = (&request.uid, &request.group);
            let number = group.to_string().replace('#', "");
            Some(format!("{uid} wants to join {group}: hongyan-cli group admit {number} {uid}"))
        }
        Event::Contact(contact) if contact.asked_by_them && !contact.mutual && !contact.blocked => {
            let uid = &contact.uid;
            Some(format!("{uid} asks to be a contact: hongyan-cli contacts --ask {uid} agrees"))
        }
        Event::Skipped { conversation, after_cseq, before_cseq } => {
            let number = before_cseq - after_cseq - 1;
            let what = count(number as usize, "message");
            Some(harmless(&format!("{what} of {conversation} left to `hongyan-cli history`")))
        }
        _ => None,
    }
}
