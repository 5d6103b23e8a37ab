//! `send`: one message from the command line, or one for each line of stdin with many in flight.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use hongyan_client::{Client, ConversationId, SendError, Sent};
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    task::unconstrained,
};

use super::talk::new_message;
use crate::{
    args::Carried,
    exit::{Exit, Failure},
    output::Output,
    record::AckRecord,
    session::Login,
    slot::Family,
    text::count,
};

/// Messages whose answers are waited for. The client itself keeps to the server's credit; this bounds memory. It is
/// below the commands that a client takes at once, so that none ever has to wait for its place.
const WINDOW: usize = 256;
/// Longest line that is read. Servers allow less.
const MAX_LINE: usize = 1 << 20;

#[derive(Serialize)]
struct RefusedRecord {
    refused: String,
    code: i32,
}

pub async fn run(login: &Login, to: &ConversationId, carried: &Carried, text: &[String]) -> Result<Exit, Failure> {
    // What makes no sense is told before anything is sent.
    new_message(to, "", carried)?;
    let output = login.output;
    let session = login.open(Family::Sender).await?;
    let from_stdin = text.is_empty() || text == ["-"];
    session
        .with_events_dropped(output, async |client| {
            let mut run = Run { output, to, carried, answers: Answers::default(), sent: 0, refused: 0 };
            if from_stdin {
                let ended = run.lines(client, BufReader::new(tokio::io::stdin())).await;
                let (sent, refused) = (count(run.sent, "message"), run.refused);
                output.note(&format!("{sent} sent to {}, {refused} refused", run.to));
                ended?;
            } else {
                run.push(client, &text.join(" ")).await?;
                run.settle_all().await?;
            }
            Ok(if run.refused > 0 { Exit::Refused } else { Exit::Done })
        })
        .await
}

struct Run<'a> {
    output: Output,
    to: &'a ConversationId,
    carried: &'a Carried,
    answers: Answers,
    sent: usize,
    refused: usize,
}

impl Run<'_> {
    /// Sends line by line until the end. What was read before an error is sent all the same.
    async fn lines(&mut self, client: &Client, mut input: BufReader<impl AsyncRead + Unpin>) -> Result<(), Failure> {
        let mut line = Vec::new();
        let mut number = 0;
        let ended = loop {
            number += 1;
            line.clear();
            // Answers are printed while the next line is waited for.
            match self.read_line(&mut input, &mut line).await? {
                Ok(0) => break Ok(()),
                Ok(_) if line.len() > MAX_LINE => break Err(format!("line {number} is longer than {MAX_LINE} bytes")),
                Ok(_) => {}
                Err(error) => break Err(format!("stdin: {error}")),
            }
            let Ok(text) = std::str::from_utf8(&line) else { break Err(format!("line {number} is not UTF-8")) };
            let text = text.trim_end_matches(['\n', '\r']);
            if !text.is_empty() {
                self.push(client, text).await?;
            }
            while self.answers.pending.len() >= WINDOW {
                self.settle_one().await?;
            }
        };
        self.settle_all().await?;
        ended.map_err(Failure::usage)
    }

    async fn read_line(
        &mut self,
        input: &mut BufReader<impl AsyncRead + Unpin>,
        line: &mut Vec<u8>,
    ) -> Result<std::io::Result<usize>, Failure> {
        let reading = read_limited(input, line);
        tokio::pin!(reading);
        loop {
            tokio::select! {
                biased;
                read = &mut reading => return Ok(read),
                answer = self.answers.next(), if !self.answers.pending.is_empty() => self.show(answer)?,
            }
        }
    }

    async fn push(&mut self, client: &Client, text: &str) -> Result<(), Failure> {
        let (client, message) = (client.clone(), new_message(self.to, text, self.carried)?);
        self.answers.push(async move { client.submit(message).await }).await;
        Ok(())
    }

    async fn settle_all(&mut self) -> Result<(), Failure> {
        while !self.answers.pending.is_empty() {
            self.settle_one().await?;
        }
        Ok(())
    }

    async fn settle_one(&mut self) -> Result<(), Failure> {
        let answer = self.answers.next().await;
        self.show(answer)
    }

    fn show(&mut self, answer: Result<Sent, SendError>) -> Result<(), Failure> {
        match answer {
            Ok(sent) => {
                self.sent += 1;
                if self.output.json {
                    self.output.record(&AckRecord::from(&sent))?;
                }
            }
            Err(SendError::Closed(error)) => return Err(error.into()),
            Err(error) => {
                self.refused += 1;
                if self.output.json {
                    let code = if let SendError::Refused { code, .. } = &error { *code } else { 0 };
                    self.output.record(&RefusedRecord { refused: error.to_string(), code })?;
                }
                self.output.error(&error.to_string());
            }
        }
        Ok(())
    }
}

/// Reads up to and with the next line break, or a little more than [`MAX_LINE`] bytes.
async fn read_limited(input: &mut (impl AsyncBufReadExt + Unpin), line: &mut Vec<u8>) -> std::io::Result<usize> {
    loop {
        let available = input.fill_buf().await?;
        let end = available.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let taken = end.unwrap_or(available.len());
        line.extend_from_slice(&available[..taken]);
        let finished = end.is_some() || taken == 0 || line.len() > MAX_LINE;
        input.consume(taken);
        if finished {
            return Ok(line.len());
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Sent, SendError>> + Send>>;

/// The answers that are waited for, in the order of sending.
#[derive(Default)]
struct Answers {
    pending: VecDeque<Slot>,
}

enum Slot {
    Waiting(Answer),
    Here(Result<Sent, SendError>),
}

impl Answers {
    /// Polls `send` once, which hands the message to the client: so messages keep their order, though only the oldest
    /// is polled again. The poll must not be put off by Tokio's budget of polls, hence unconstrained.
    async fn push(&mut self, send: impl Future<Output = Result<Sent, SendError>> + Send + 'static) {
        let mut send: Answer = Box::pin(unconstrained(send));
        let first = poll_fn(|context| Poll::Ready(send.as_mut().poll(context))).await;
        self.pending.push_back(match first {
            Poll::Ready(answer) => Slot::Here(answer),
            Poll::Pending => Slot::Waiting(send),
        });
    }

    /// The oldest one's answer. Must not be asked while none is pending; may be cancelled without loss.
    async fn next(&mut self) -> Result<Sent, SendError> {
        let answer = match self.pending.front_mut() {
            Some(Slot::Waiting(send)) => send.await,
            Some(Slot::Here(_)) | None => match self.pending.pop_front() {
                Some(Slot::Here(answer)) => return answer,
                _ => std::future::pending().await,
            },
        };
        self.pending.pop_front();
        answer
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn sent(send_no: u64) -> Sent {
        let conversation = ConversationId::new("bob").unwrap();
        Sent { send_no, conversation, cseq: 1, useq: 1, time_ms: 1 }
    }

    #[tokio::test]
    async fn answers_come_in_the_order_of_sending() {
        let mut answers = Answers::default();
        let mut senders = Vec::new();
        for _ in 0..3 {
            let (sender, receiver) = oneshot::channel();
            senders.push(sender);
            answers.push(async move { Ok(sent(receiver.await.unwrap())) }).await;
        }
        answers.push(async { Err(SendError::TooLarge { len: 2, max: 1 }) }).await;
        for (number, sender) in senders.into_iter().enumerate().rev() {
            sender.send(number as u64).unwrap();
        }
        for number in 0..3 {
            assert_eq!(answers.next().await.unwrap(), sent(number));
        }
        assert!(matches!(answers.next().await, Err(SendError::TooLarge { .. })));
        assert!(answers.pending.is_empty());
    }

    #[tokio::test]
    async fn lines_are_cut_and_long_ones_bounded() {
        let mut input = BufReader::with_capacity(3, &b"ab\ncdefg\n\nlast"[..]);
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            if read_limited(&mut input, &mut line).await.unwrap() == 0 {
                break;
            }
            lines.push(line);
        }
        assert_eq!(lines, [&b"ab\n"[..], b"cdefg\n", b"\n", b"last"]);
        let mut line = Vec::new();
        let endless = read_limited(&mut BufReader::new(tokio::io::repeat(b'x')), &mut line).await.unwrap();
        assert!(endless > MAX_LINE && endless < MAX_LINE + (1 << 16));
    }
}
