//! How each trick is played, and what must become of it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hongyan_proto::{
    CloseCode,
    codec::{self, PREFACE},
    frame::Frame,
    kind::Kind,
    wire::{self, NackCode},
};

use super::{
    connection::{NAME, Rogue},
    trick::Trick,
};

impl Rogue {
    pub async fn play(&mut self, trick: Trick) {
        match trick {
            Trick::BeforeLogin => {
                self.write(&PREFACE);
                let ack = Frame::Ack(wire::Ack { useq: 1 });
                let first = if self.world.chance.borrow_mut().one_in(2) { ack } else { Self::message(1, "u0") };
                self.send(&[first, Self::message(1, "u0")]);
                let code = self.until_closed().await;
                self.expect(code, CloseCode::WRONG_STATE);
            }
            Trick::SlowLoris => {
                let some = self.world.chance.borrow_mut().below(3);
                self.write(&PREFACE[..some]);
                let code = self.until_closed().await;
                self.expect(code, CloseCode::LOGIN_TIMEOUT);
            }
            Trick::Replay => self.replay().await,
            Trick::Predecessor => drop(self.come_by_a_predecessor().await),
            Trick::LateSends => self.send_late().await,
            Trick::LateAcks => self.ack_late().await,
            Trick::Beyond => self.come_from_beyond().await,
            Trick::Overtake => drop(self.overtake().await),
            Trick::Silent => {
                let code = if self.log_in().await.is_some() { self.until_closed().await } else { None };
                // What others write to it is not acked either.
                self.expect(code.filter(|code| *code != CloseCode::SLOW), CloseCode::IDLE_TIMEOUT);
            }
            _ => {
                if let Some(welcome) = self.log_in().await {
                    self.misuse(trick, welcome).await;
                }
            }
        }
    }

    async fn replay(&mut self) {
        let dead = self.world.stolen_tokens.borrow().any_dead(&mut self.world.chance.borrow_mut());
        if let Some(resume_token) = dead {
            self.come_by_a_dead_one(resume_token).await;
        }
    }

    /// A token is good for another time until its successor has been used.
    async fn come_by_a_predecessor(&mut self) -> Option<()> {
        let (mut second, mut third, mut last) = (self.beside()?, self.beside()?, self.beside()?);
        self.say_hello(self.hello(&self.new_device(), 7));
        let Frame::Welcome(welcome) = self.frame().await? else { return None };
        // Who acts has stored it.
        self.send(&[Self::message(1, NAME)]);
        self.answer().await?.ok()?;
        let successor = second.come_back(welcome.resume_token.clone()).await?;
        third.come_back(successor).await?;
        last.come_by_a_dead_one(welcome.resume_token).await;
        Some(())
    }

    /// The token that is offered to who comes back with this one.
    async fn come_back(&mut self, resume_token: Bytes) -> Option<Bytes> {
        self.say_resume(resume_token);
        match self.frame().await? {
            Frame::Resumed(resumed) => Some(resumed.resume_token),
            _ => None,
        }
    }

    fn say_resume(&mut self, resume_token: Bytes) {
        self.write(&PREFACE);
        self.send(&[Frame::Resume(wire::Resume { resume_token, ..Default::default() })]);
    }

    async fn come_by_a_dead_one(&mut self, resume_token: Bytes) {
        self.say_resume(resume_token);
        let code = self.until_closed().await;
        // Who tries that too often is not heard any more.
        if code != Some(CloseCode::TOO_MANY_ATTEMPTS) {
            self.expect(code, CloseCode::RESUME_REFUSED);
        }
    }

    async fn misuse(&mut self, trick: Trick, welcome: wire::Welcome) {
        let max = welcome.max_send_no;
        match trick {
            Trick::Credit => {
                self.send(&[Self::message(max + 1, NAME)]);
                let code = self.until_closed().await;
                self.expect(code, CloseCode::CREDIT_EXCEEDED);
            }
            Trick::Ack => {
                self.send(&[Frame::Ack(wire::Ack { useq: welcome.head + 1_000_000 })]);
                let code = self.until_closed().await;
                self.expect(code, CloseCode::BAD_ACK);
            }
            Trick::Gap => {
                self.send(&[Self::message(2, NAME)]);
                let answer = self.answer().await;
                if !matches!(&answer, None | Some(Err((NackCode::NackGap | NackCode::NackUnavailable, _)))) {
                    self.violated(format!("R2: a gap was answered with {answer:?}"));
                }
            }
            Trick::Twice => {
                self.send(&[Self::message(1, NAME)]);
                let first = self.answer().await;
                self.send(&[Self::text(1, NAME, b"another")]);
                let second = self.answer().await;
                // The answer is kept, and cannot be repeated while the disk is full.
                let is_later = matches!(second, None | Some(Err((NackCode::NackUnavailable, _))));
                if matches!(first, Some(Ok(_))) && first != second && !is_later {
                    self.violated(format!("R2: one number was answered with {first:?} and {second:?}"));
                }
            }
            Trick::History => self.read_history("u0").await,
            Trick::Group => {
                let groups = self.world.ledger.borrow().groups();
                let group = format!("#{}", groups.last().unwrap_or(&1));
                self.send(&[Self::message(1, &group)]);
                let answer = self.answer().await;
                if !matches!(&answer, None | Some(Err((NackCode::NackNotFound | NackCode::NackUnavailable, _)))) {
                    self.violated(format!("I5: a rogue who wrote in a group was answered {answer:?}"));
                }
                self.read_history(&group).await;
            }
            _ => {
                let mut out = BytesMut::new();
                codec::put_frame(&mut out, Kind::Hello, &self.hello("x1", 7));
                self.write(&out);
                let code = self.until_closed().await;
                self.expect(code, CloseCode::WRONG_STATE);
            }
        }
    }

    /// What is sent on an older connection counts up to the newer login, which says how far that is, and no further.
    async fn send_late(&mut self) {
        let device = self.new_device();
        let Some(mut newer) = self.beside() else { return };
        self.say_hello(wire::Hello { last_send_no: 0, ..self.hello(&device, 7) });
        if !matches!(self.frame().await, Some(Frame::Welcome(_))) {
            return;
        }
        newer.say_hello(wire::Hello { last_send_no: 8, ..self.hello(&device, 7) });
        for send_no in 1..=4 {
            self.send(&[Self::message(send_no, NAME)]);
            self.world.clock.sleep(Duration::from_micros(500)).await;
        }
        let Some(Frame::Welcome(welcome)) = newer.frame().await else { return };
        newer.send(&[Self::text(welcome.last_send_no + 1, NAME, b"of the newer connection")]);
        if let Some(Ok((_, cseq, useq))) = newer.answer().await {
            let there = newer.history(NAME, cseq - 1).await;
            let there = there.and_then(|messages| messages.into_iter().find(|message| message.cseq == cseq));
            let is_newer = there.is_none_or(|message| message.content == b"of the newer connection"[..]);
            if useq <= welcome.head || !is_newer {
                self.violated(format!(
                    "I2: a number that was free at the login stands for what was sent before: {useq}"
                ));
            }
        }
        while let Some(frame) = self.frame().await {
            if matches!(&frame, Frame::SendAck(ack) if ack.send_no > welcome.last_send_no) {
                self.violated(format!("I5: {frame:?} on a connection that ended at {}", welcome.last_send_no));
            }
        }
    }

    /// The same of what is acked.
    async fn ack_late(&mut self) {
        let device = self.new_device();
        let (Some(mut newer), Some(mut newest)) = (self.beside(), self.beside()) else { return };
        self.say_hello(wire::Hello { from_head: true, ..self.hello(&device, 7) });
        if !matches!(self.frame().await, Some(Frame::Welcome(_))) {
            return;
        }
        let mut useqs = Vec::new();
        for send_no in 1..=4 {
            self.send(&[Self::message(send_no, NAME)]);
            let Some(Ok((_, _, useq))) = self.answer().await else { return };
            useqs.push(useq);
        }
        let hello = wire::Hello { last_send_no: 4, ..self.hello(&device, 7) };
        newer.say_hello(hello.clone());
        for useq in useqs {
            self.send(&[Frame::Ack(wire::Ack { useq })]);
            self.world.clock.sleep(Duration::from_micros(500)).await;
        }
        // Who names no place is told the one that the server knows.
        let Some(Frame::Welcome(welcome)) = newer.frame().await else { return };
        newest.say_hello(hello);
        if let Some(Frame::Welcome(later)) = newest.frame().await
            && later.cursor > welcome.cursor
        {
            let (before, after) = (welcome.cursor, later.cursor);
            self.violated(format!("I5: a connection that ended at {before} has acked up to {after}"));
        }
        // The oldest was replaced, and is told so.
        while self.frame().await.is_some() {}
    }

    /// A place that the log has not reached is not believed, or all that comes up to there would be missed.
    async fn come_from_beyond(&mut self) {
        let Some(mut again) = self.beside() else { return };
        let Some(welcome) = self.log_in().await else { return };
        let cursor = welcome.head + 1_000_000;
        if self.world.chance.borrow_mut().one_in(2) {
            let (cursor, log_epoch) = (Some(cursor), welcome.log_epoch);
            again.say_hello(wire::Hello { cursor, log_epoch, ..self.hello(&self.new_device(), 7) });
        } else {
            let resume_token = welcome.resume_token;
            again.write(&PREFACE);
            again.send(&[Frame::Resume(wire::Resume { resume_token, cursor, ..Default::default() })]);
        }
        let last_send_no = match again.frame().await {
            Some(Frame::Welcome(welcome)) => welcome.last_send_no,
            Some(Frame::Resumed(resumed)) => resumed.last_send_no,
            _ => return,
        };
        again.send(&[Self::message(last_send_no + 1, NAME)]);
        let next = again.frame().await;
        if !matches!(next, None | Some(Frame::SyncReset(_) | Frame::Close(_))) {
            self.violated(format!("I3: who came from {cursor}, beyond {}, got {next:?}", welcome.head));
        }
    }

    /// It has all that it was pushed or answered, and may say so though the server pushes it anew, a window at a time.
    async fn overtake(&mut self) -> Option<()> {
        self.say_hello(wire::Hello { from_head: true, ..self.hello(&self.new_device(), 7) });
        let Frame::Welcome(welcome) = self.frame().await? else { return None };
        let beyond_the_window = u64::from(welcome.limits?.push_window) + 8;
        let (mut last, mut send_no) = (welcome.head, 0);
        let (mut is_waiting, mut was_asked) = (false, false);
        while is_waiting || !was_asked || send_no <= beyond_the_window {
            if !is_waiting && (was_asked || send_no < beyond_the_window) {
                send_no += 1;
                self.send(&[Self::message(send_no, NAME)]);
                is_waiting = true;
            }
            match self.frame().await? {
                // What others have written to it meanwhile is not pushed beyond the window.
                Frame::SendAck(ack) if ack.useq != last + 1 => return None,
                Frame::SendAck(ack) => (last, is_waiting) = (ack.useq, false),
                Frame::Ping(_) => {
                    self.send(&[Frame::Pong(wire::Pong::default())]);
                    was_asked = true;
                }
                Frame::SendNack(_) | Frame::Close(_) => return None,
                _ => {}
            }
        }
        self.send(&[Frame::Ack(wire::Ack { useq: last }), Self::message(send_no + 1, NAME)]);
        loop {
            match self.frame().await? {
                Frame::Close(close) if CloseCode(close.code) == CloseCode::BAD_ACK => {
                    self.violated(format!("R4: {last} was answered, and may not be acked"));
                }
                Frame::SendAck(_) | Frame::SendNack(_) | Frame::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// The name of a device that has never been.
    fn new_device(&self) -> String {
        format!("f{}", self.world.chance.borrow_mut().number())
    }

    /// Asks for what others have written.
    async fn read_history(&mut self, conversation: &str) {
        if self.history(conversation, 0).await.is_some_and(|messages| !messages.is_empty()) {
            self.violated(format!("I5: a rogue reads the history of {conversation}"));
        }
    }
}
