//! `chat`: a conversation, line by line. This file is the loop; [`view`] decides what is shown, [`screen`] shows it and
//! brings what is typed.

mod screen;
mod view;

use std::time::Duration;

use hongyan_client::{Client, Content, Event, Events, Uid};
use tokio::time::{Instant, sleep_until};

use crate::{
    command::{history::load, interrupted},
    exit::{Exit, Failure},
    output::{Output, Record},
    session::{Login, count},
    slot::Family,
    terminal,
};
use screen::{Input, Screen};
use view::View;

/// Messages of the past that are shown at the start.
const PAST: u32 = 20;
/// How long a person who leaves waits for what is not yet sent; it stays queued beyond that.
const PARTING: Duration = Duration::from_secs(3);

const HELP: &str = "\
/history [N]  the last N messages (20)
/status       the connection, and what waits to be sent
/quit         leave; Ctrl-D does the same
Any other line is sent. ✓ sent, ✓✓ delivered.";

pub async fn run(login: &Login, with: &str) -> Result<Exit, Failure> {
    let with = Uid::new(with)?;
    let session = login.open(Family::Chat).await?;
    let output = login.output;
    let interactive =
        terminal::is_interactive() && std::io::IsTerminal::is_terminal(&std::io::stdout()) && !output.json;
    // Declared first, so that the terminal is put back last.
    let _saved = terminal::Saved::now();
    let screen = if interactive { Screen::terminal()? } else { Screen::plain(output) };
    let delivered = session.delivered.get(with.as_str()).copied().unwrap_or(0);
    let view = View::new(session.client.uid().clone(), with.clone(), output, session.left.len(), delivered);
    let mut chat = Chat { client: session.client, with, output, screen, view, leaving: Leaving::No, interactive };
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
    with: Uid,
    output: Output,
    screen: Screen,
    view: View,
    leaving: Leaving,
    interactive: bool,
}

impl Chat {
    async fn run(&mut self, mut events: Events) -> Result<Exit, Failure> {
        self.past(PAST).await?;
        if self.interactive {
            self.note(&format!("chatting with {} as {}; /help says more", self.with, self.client.uid()))?;
        }
        let interrupted = interrupted();
        tokio::pin!(interrupted);
        loop {
            let deadline = if let Leaving::By(deadline) = self.leaving { Some(deadline) } else { None };
            let due = [self.view.poll_timeout(), deadline].into_iter().flatten().min();
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
                }
                signal = &mut interrupted => {
                    signal?;
                    self.leaving = Leaving::By(Instant::now());
                }
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

    fn on_event(&mut self, event: &Event) -> Result<(), Failure> {
        let lines = self.view.on_event(event, Instant::now());
        if !self.output.json {
            return self.print(lines);
        }
        match event {
            Event::Message(message) if message.conversation == self.with => self.output.message(message)?,
            Event::Sent(sent) => self.output.record(&Record::Sent(sent.into()))?,
            Event::Delivered { conversation, up_to_cseq } if *conversation == self.with => {
                let conversation = conversation.as_str();
                self.output.record(&Record::Delivered { conversation, up_to_cseq: *up_to_cseq })?;
            }
            Event::Refused { send_no, .. } => self.output.error(&format!("message {send_no} was refused")),
            _ => {}
        }
        Ok(())
    }

    async fn on_input(&mut self, input: Input) -> Result<(), Failure> {
        let line = match input {
            Input::Line(line) => line,
            Input::Broken(error) => return Err(Failure::local("cannot read what is typed", error)),
            Input::End => {
                // A script wants all of it sent; a person wants to go.
                self.leaving = if self.interactive { Leaving::By(Instant::now() + PARTING) } else { Leaving::Sent };
                return Ok(());
            }
        };
        match line.trim() {
            "" => Ok(()),
            "/help" => self.note(HELP),
            "/status" => self.status().await,
            command if command.split(' ').next() == Some("/history") => match command["/history".len()..].trim() {
                "" => self.past(PAST).await,
                number => match number.parse() {
                    Ok(number) if number > 0 => self.past(number).await,
                    _ => self.note(&format!("{number:?} is no number of messages")),
                },
            },
            command if command.starts_with('/') && !command.starts_with("//") => {
                self.note("no such command; /help lists them, and // at the start sends a line that begins with /")
            }
            text => self.send(text.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(text)).await,
        }
    }

    async fn send(&mut self, text: &str) -> Result<(), Failure> {
        match self.client.enqueue(&self.with, Content::text(text)).await {
            Ok(send_no) => {
                let lines = self.view.on_queued(send_no, text);
                self.print(lines)
            }
            Err(hongyan_client::SendError::Closed(error)) => Err(error.into()),
            Err(error) => {
                self.view.on_refused();
                self.note(&error.to_string())
            }
        }
    }

    async fn past(&mut self, number: u32) -> Result<(), Failure> {
        let messages = match load(&self.client, &self.with, number, 0).await {
            Ok(messages) => messages,
            Err(error) => return self.note(&format!("no history: {error}")),
        };
        let lines = self.view.on_history(&messages);
        if self.output.json {
            return Ok(messages.iter().try_for_each(|message| self.output.message(message))?);
        }
        self.print(lines)
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
