//! The loop of a chat: what happens in the conversation, what is typed and what is due, one after the other.

use std::time::Duration;

use hongyan_client::{
    Act, Client, Content, ConversationId, Entry, Event, Events, NewMessage, Outgoing, Role, SendError,
};
use tokio::time::{Instant, sleep_until};

use super::{
    line::{self, Line},
    screen::{Input, Screen},
    view::View,
};
use crate::{
    command::history::load,
    exit::{Exit, Failure},
    output::Output,
    record::Record,
    session::Login,
    slot::Family,
    terminal::{self, interrupted},
    text::{self, count},
};

/// Messages of the past that are shown at the start.
const PAST: u32 = 20;
/// How long a person who leaves waits for what is not yet sent; it stays queued beyond that.
const PARTING: Duration = Duration::from_secs(3);
/// From a message on the screen to the read mark, so that one mark stands for many.
const READING: Duration = Duration::from_millis(300);
/// How often the others are told that this user is writing.
const TYPING: Duration = Duration::from_secs(3);

pub async fn run(login: &Login, with: &ConversationId) -> Result<Exit, Failure> {
    let session = login.open(Family::Chat).await?;
    let output = login.output;
    let interactive =
        terminal::is_interactive() && std::io::IsTerminal::is_terminal(&std::io::stdout()) && !output.json;
    // Declared first, so that the terminal is put back last.
    let _saved = terminal::Saved::now();
    let screen = if interactive { Screen::terminal()? } else { Screen::plain(output) };
    let received = session.received.get(&with.to_string()).copied().unwrap_or((0, 0));
    let view = View::new(session.client.uid().clone(), with.clone(), output, session.left.len(), received);
    let (client, with) = (session.client, with.clone());
    let (to_read, typed) = (None, None);
    let mut chat = Chat { client, with, output, screen, view, leaving: Leaving::No, interactive, to_read, typed };
    let ended = chat.run(session.events).await;
    chat.client.close().await;
    ended
}

/// Whether the end has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// Once everything is answered.
    Sent,
    /// Once everything is answered, at this time at the latest.
    By(Instant),
}

struct Chat {
    client: Client,
    with: ConversationId,
    output: Output,
    screen: Screen,
    view: View,
    leaving: Leaving,
    interactive: bool,
    /// Up to where a person has seen the conversation, and when to tell that.
    to_read: Option<(u64, Instant)>,
    /// When the others were last told that this user is writing.
    typed: Option<Instant>,
}

impl Chat {
    async fn run(&mut self, mut events: Events) -> Result<Exit, Failure> {
        self.past(PAST).await?;
        if self.interactive {
            let with = self.name().await;
            self.note(&format!("chatting with {with} as {}; /help says more", self.client.uid()))?;
        }
        let interrupted = interrupted();
        tokio::pin!(interrupted);
        loop {
            let deadline = if let Leaving::By(deadline) = self.leaving { Some(deadline) } else { None };
            let reading = self.to_read.map(|(_, due)| due);
            let due = [self.view.poll_timeout(), deadline, reading].into_iter().flatten().min();
            let timer = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::Stopped(error)) => return Err(error.into()),
                    Some(event) => self.on_event(&event)?,
                    None => return Ok(Exit::Done),
                },
                input = self.screen.input(), if self.leaving == Leaving::No => self.on_input(input).await?,
                () = timer => {
                    let lines = self.view.on_time(Instant::now());
                    self.print(lines)?;
                    if self.to_read.is_some_and(|(_, due)| due <= Instant::now()) {
                        self.tell_read().await?;
                    }
                }
                signal = &mut interrupted => {
                    signal?;
                    self.leaving = Leaving::By(Instant::now());
                }
            }
            if self.leaving != Leaving::No {
                self.tell_read().await?;
            }
            if self.may_leave() {
                events.handled();
                return self.leave();
            }
        }
    }

    fn may_leave(&self) -> bool {
        match self.leaving {
            Leaving::No => false,
            _ if self.view.unanswered() == 0 => true,
            Leaving::Sent => false,
            Leaving::By(deadline) => deadline <= Instant::now(),
        }
    }

    fn leave(&mut self) -> Result<Exit, Failure> {
        let lines = self.view.flush();
        self.print(lines)?;
        self.screen.finish();
        if self.view.unanswered() > 0 {
            let what = count(self.view.unanswered(), "message");
            self.output.error(&format!("{what} not yet sent; the next `chat` goes on with that"));
        }
        Ok(if self.view.any_refused() { Exit::Refused } else { Exit::Done })
    }

    /// Whom this is with, for a person.
    async fn name(&self) -> String {
        let ConversationId::Group(number) = self.with else { return self.with.to_string() };
        match self.client.group(number).await {
            Ok(group) => {
                let title = text::harmless(&group.settings.title);
                format!("{title} ({}, {})", self.with, count(group.members as usize, "member"))
            }
            Err(_) => self.with.to_string(),
        }
    }

    fn on_event(&mut self, event: &Event) -> Result<(), Failure> {
        let lines = self.view.on_event(event, Instant::now());
        if self.output.json {
            return self.record(event);
        }
        if let Event::Message(message) = event
            && message.conversation == self.with
            && !message.own
        {
            self.see(message.cseq);
        }
        self.print(lines)
    }

    fn record(&self, event: &Event) -> Result<(), Failure> {
        let record = match event {
            Event::Message(message) if message.conversation == self.with => Record::Message(message.into()),
            Event::Changed(changed) if changed.conversation == self.with => Record::Changed(changed.into()),
            Event::Sent(sent) => Record::Sent(sent.into()),
            Event::Receipt(receipt) if receipt.conversation == self.with => Record::Receipt(receipt.into()),
            Event::Refused { send_no, .. } => {
                self.output.error(&format!("message {send_no} was refused"));
                return Ok(());
            }
            _ => return Ok(()),
        };
        Ok(self.output.record(&record)?)
    }

    /// A message of somebody else is on the screen. Whoever only pipes it somewhere has not read it.
    fn see(&mut self, cseq: u64) {
        if self.interactive {
            let due = self.to_read.map_or(Instant::now() + READING, |(_, due)| due);
            self.to_read = Some((cseq, due));
        }
    }

    async fn tell_read(&mut self) -> Result<(), Failure> {
        match self.to_read.take() {
            Some((cseq, _)) => self.act(Act::read(&self.with, cseq), "").await,
            None => Ok(()),
        }
    }

    async fn on_input(&mut self, input: Input) -> Result<(), Failure> {
        match input {
            Input::Line(line) => self.on_line(line::parse(&line)).await,
            Input::Typing => self.on_typing().await,
            Input::Broken(error) => Err(Failure::local("cannot read what is typed", error)),
            Input::End => {
                // A script wants all of it sent; a person wants to go.
                self.leaving = if self.interactive { Leaving::By(Instant::now() + PARTING) } else { Leaving::Sent };
                Ok(())
            }
        }
    }

    async fn on_typing(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        if self.typed.is_none_or(|typed| typed + TYPING <= now) && !self.view.is_down() {
            self.typed = Some(now);
            self.client.typing(&self.with).await?;
        }
        Ok(())
    }

    async fn on_line(&mut self, line: Line) -> Result<(), Failure> {
        let with = self.with.clone();
        match line {
            Line::Nothing => Ok(()),
            Line::Help => self.note(line::HELP),
            Line::Status => self.status().await,
            Line::Members => self.members().await,
            Line::History(number) => self.past(number.unwrap_or(PAST)).await,
            Line::Wrong(what) => self.note(&what),
            Line::Say(text) => self.send(NewMessage::new(&with, Content::text(&text)), &text).await,
            Line::Reply(target, text) => match self.view.of_others(target) {
                Some(cseq) => {
                    let message = NewMessage::new(&with, Content::text(&text)).reply_to(cseq);
                    self.send(message, &format!("(to [{cseq}]) {text}")).await
                }
                None => self.note("there is no message to answer yet"),
            },
            Line::Edit(target, text) => match self.view.of_mine(target) {
                Some(cseq) => self.act(Act::edit(&with, cseq, Content::text(&text)), "edited").await,
                None => self.note("there is no message of yours yet"),
            },
            Line::Recall(target) => match self.view.of_mine(target) {
                Some(cseq) => self.act(Act::recall(&with, cseq), "taken back").await,
                None => self.note("there is no message of yours yet"),
            },
            Line::React(target, reaction) => self.act_on(target, |cseq| Act::react(&with, cseq, &reaction)).await,
            Line::Pin(target) => self.act_on(target, |cseq| Act::pin(&with, cseq)).await,
            Line::Unpin(target) => self.act_on(target, |cseq| Act::unpin(&with, cseq)).await,
            Line::Forward(target, to) => self.act_on(target, |cseq| Act::forward(&to, &with, cseq)).await,
        }
    }

    async fn act_on(&mut self, target: line::Target, act: impl Fn(u64) -> Act) -> Result<(), Failure> {
        match self.view.of_others(target) {
            Some(cseq) => self.act(act(cseq), "done").await,
            None => self.note("there is no such message yet"),
        }
    }

    async fn send(&mut self, message: NewMessage, text: &str) -> Result<(), Failure> {
        if let Some(send_no) = self.queue(message).await? {
            let lines = self.view.on_queued(send_no, text);
            self.print(lines)?;
        }
        Ok(())
    }

    /// `what` it is when it is done, for the case that it is refused; empty: not worth a word.
    async fn act(&mut self, act: Act, what: &'static str) -> Result<(), Failure> {
        if let Some(send_no) = self.queue(act).await? {
            self.view.on_act_queued(send_no, what);
        }
        Ok(())
    }

    async fn queue(&mut self, what: impl Into<Outgoing>) -> Result<Option<u64>, Failure> {
        match self.client.queue(what).await {
            Ok(send_no) => Ok(Some(send_no)),
            Err(SendError::Closed(error)) => Err(error.into()),
            Err(error) => {
                self.view.on_refused();
                self.note(&error.to_string())?;
                Ok(None)
            }
        }
    }

    async fn past(&mut self, number: u32) -> Result<(), Failure> {
        let entries = match load(&self.client, &self.with, number, 0).await {
            Ok(entries) => entries,
            Err(error) => return self.note(&format!("no history: {error}")),
        };
        let lines = self.view.on_history(&entries);
        if self.output.json {
            return Ok(entries.iter().try_for_each(|entry| self.output.entry(entry))?);
        }
        let mut of_others =
            entries.iter().rev().filter(|entry| matches!(entry, Entry::Message(message) if !message.own));
        if let Some(newest) = of_others.next() {
            self.see(newest.cseq());
        }
        self.print(lines)
    }

    async fn members(&mut self) -> Result<(), Failure> {
        let told = match &self.with {
            ConversationId::Group(number) => {
                let page = self.client.members(*number, Role::None, 0, 100).await;
                page.map(|page| {
                    let named = |member: &hongyan_client::Member| match member.role {
                        Role::Member => member.uid.to_string(),
                        role => format!("{} ({})", member.uid, text::role_name(role)),
                    };
                    let names: Vec<_> = page.members.iter().map(named).collect();
                    names.join(", ") + if page.next > 0 { " …" } else { "" }
                })
            }
            ConversationId::User(uid) => {
                let list = self.client.follow(std::slice::from_ref(uid), false).await;
                list.map(|list| list.iter().map(text::presence).collect::<Vec<_>>().join(", "))
            }
        };
        match told {
            Ok(told) => self.note(&told),
            Err(error) => self.note(&error.to_string()),
        }
    }

    async fn status(&mut self) -> Result<(), Failure> {
        let state = if self.view.is_down() { "not connected" } else { "connected" };
        let waiting = count(self.view.unanswered(), "message");
        let mut text = format!("{state}, {waiting} waiting to be sent");
        if !self.view.is_down() {
            match self.client.ping().await {
                Ok(time) => text += &format!(", round trip {:.1} ms", time.as_secs_f64() * 1000.0),
                Err(error) => text += &format!(", {error}"),
            }
        }
        self.note(&text)
    }

    /// What is not part of the conversation: dim on a terminal, on stderr for a script.
    fn note(&mut self, text: &str) -> Result<(), Failure> {
        if !self.interactive {
            self.output.note(text);
            return Ok(());
        }
        let lines = text.lines().map(|line| self.output.dim(line)).collect();
        self.print(lines)
    }

    fn print(&mut self, lines: Vec<String>) -> Result<(), Failure> {
        if lines.is_empty() || self.output.json {
            return Ok(());
        }
        Ok(self.screen.print(lines)?)
    }
}
