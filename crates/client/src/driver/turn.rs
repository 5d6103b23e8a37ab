//! The loop: what wakes it, what it does then, and how it ends.

use std::{future::pending, io, time::Instant};

use bytes::BytesMut;
use hongyan_proto::CloseCode;
use tokio::time::{sleep_until, timeout};

use super::{
    clock::now,
    round::Round,
    state::{Driver, Next, Stop},
};
use crate::{
    command::{CLOSE_TIMEOUT, Command},
    error::ClientError,
    event::Event,
    link::Link,
};

/// Bytes that may wait before nothing more is read, and so nothing more answered.
const MAX_OUT_READING: usize = 1 << 20;
/// Entries that may be held back before nothing more is read. Servers stop at their push window long before.
const MAX_HELD: usize = 1024;

/// What has happened.
enum Input {
    Command(Option<Command>),
    Link(io::Result<Option<BytesMut>>),
    Dialed(io::Result<Link>),
    /// A time has come, or the application has taken an event.
    Look,
}

impl Driver {
    /// Drives until the client is closed or cannot go on.
    pub async fn run(mut self) {
        let stop = loop {
            if let Err(stop) = self.turn().await {
                break stop;
            }
        };
        self.stop(stop).await;
    }

    async fn turn(&mut self) -> Result<(), Stop> {
        let mut round = Round::default();
        let input = self.input().await;
        let result = self.handle(input, &mut round).await;
        // Whatever ends the loop, what has come before it is stored and told.
        self.commit(round).await?;
        result?;
        self.write();
        self.refill().await?;
        Ok(())
    }

    async fn input(&mut self) -> Input {
        let due = self.due();
        let reading = self.held.len() < MAX_HELD;
        let Self { commands, queue, active, next, .. } = self;
        let (line, dialing) = match next {
            Next::Login(line) => (Some(&mut **line), None),
            Next::Dial(dialing) => (active.as_mut(), Some(dialing)),
            Next::Idle | Next::Wait(_) => (active.as_mut(), None),
        };
        let link = async {
            match line {
                Some(line) => line.link.progress(reading && line.link.queued() < MAX_OUT_READING).await,
                None => pending().await,
            }
        };
        let dialed = async {
            match dialing {
                Some(dialing) => dialing.await,
                None => pending().await,
            }
        };
        let timer = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            command = commands.recv() => Input::Command(command),
            result = link => Input::Link(result),
            result = dialed => Input::Dialed(result),
            () = timer => Input::Look,
            () = queue.progress() => Input::Look,
        }
    }

    /// When to look even if nothing happens.
    fn due(&mut self) -> Option<Instant> {
        let wait = match &self.next {
            Next::Wait(until) => Some(*until),
            _ => None,
        };
        let connection = self.line().and_then(|line| line.connection.poll_timeout());
        let first = self.give_up_at.filter(|_| self.first.is_some());
        wait.into_iter().chain(connection).chain(first).min()
    }

    /// Takes what has happened, and then does whatever has become possible by it.
    async fn handle(&mut self, input: Input, round: &mut Round) -> Result<(), Stop> {
        match input {
            Input::Command(command) => self.on_commands(command, round).await?,
            Input::Link(Ok(Some(bytes))) if bytes.is_empty() => {
                self.on_broken("the server closed the connection without a word", round)?;
            }
            Input::Link(Ok(Some(bytes))) => {
                if let Some(line) = self.line() {
                    line.connection.handle_bytes(bytes);
                }
            }
            Input::Link(Ok(None)) | Input::Look => {}
            Input::Link(Err(error)) => self.on_broken(&format!("the connection broke: {error}"), round)?,
            Input::Dialed(Ok(link)) => self.on_dialed(link)?,
            Input::Dialed(Err(error)) => self.on_dial_failed(&error, round)?,
        }
        self.on_time(now(), round)?;
        self.poll_events(round)?;
        self.resume_held(round)?;
        self.advance_reload();
        self.advance_rows();
        self.advance_gaps(round);
        Ok(())
    }

    async fn stop(mut self, stop: Stop) {
        let (error, done) = match stop {
            Stop::Closed(done) => (ClientError::closed(), done),
            Stop::Failed(error) => (error, None),
        };
        let _ = self.ended.set(error.clone());
        self.commands.close();
        self.outbox.all_waiters().for_each(|waiter| {
            let _ = waiter.send(Err(error.clone().into()));
        });
        if let Some(mut line) = self.active.take() {
            line.connection.close(CloseCode::NORMAL, "", now());
            line.link.queue(line.connection.take_output(now()));
            let _ = timeout(CLOSE_TIMEOUT, line.link.finish()).await;
        }
        // The next client may open the store as soon as this one is known to be closed.
        drop(self.keeper);
        if let Some(first) = self.first.take() {
            let _ = first.send(Err(error.clone()));
        }
        if let Some(done) = done {
            let _ = done.send(());
        }
        drop(self.commands);
        self.queue.finish(Event::Stopped(error)).await;
    }
}
