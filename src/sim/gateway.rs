//! An HTTP gateway as the simulation has it: a device logs in, and then nothing but requests speaks for it. It is found by its
//! token in the table of devices and reads poll by poll, through the code that serves polls; some answers get lost, and then
//! the same is asked again. What a device of the simulation says and hears are the protocol's frames, in place of JSON.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use hongyan_proto::{
    CloseCode,
    server::{Connection, Event, encode_item},
    wire,
};

use super::{chance::Chance, clock::SimTimer, network::End};
use crate::{
    base::environment::Timer,
    edge::{
        native::{stranger::Stranger, transport::Wire},
        web::feed::{Feed, Next},
    },
    ops::id::SendNumber,
    session::{CameBack, DeviceError, Devices, LoggedIn, Place, Present, Service},
};

/// One answer of a poll in so many is lost.
const LOST_ONE_IN: usize = 8;

pub struct Gateway {
    wire: Wire<End>,
    connection: Connection,
    service: Arc<Service>,
    devices: Arc<Devices>,
    stranger: Stranger,
    chance: Chance,
    /// What its requests bring, after the login.
    token: Option<Bytes>,
    /// Until it is seen that the token has arrived.
    newcomer: Option<Present>,
    /// A poll that is under way, and until when it waits.
    poll: Option<(Feed, Instant)>,
    /// The third part of the `next` that the device has.
    proves: Option<u64>,
    is_going_away: bool,
}

enum Wake {
    Io(Option<BytesMut>),
    Answer(Next),
    Timer,
}

impl Gateway {
    pub fn new(end: End, service: Arc<Service>, devices: Arc<Devices>, stranger: Stranger, chance: Chance) -> Self {
        let connection = Connection::new(service.protocol().clone(), service.now());
        Self {
            wire: Wire::new(end),
            connection,
            service,
            devices,
            stranger,
            chance,
            token: None,
            newcomer: None,
            poll: None,
            proves: None,
            is_going_away: false,
        }
    }

    pub async fn run(mut self, mut timer: Pin<&mut SimTimer>) -> io::Result<()> {
        while !self.wire.is_over() {
            while let Some(event) = self.connection.poll_event(self.service.now()) {
                self.on_event(event).await;
            }
            self.begin_poll().await;
            if self.wire.is_over() || self.connection.is_closed() {
                continue;
            }
            match poll_fn(|context| self.poll_wake(context, timer.as_mut())).await? {
                Wake::Io(Some(bytes)) if bytes.is_empty() => self.wire.end(),
                Wake::Io(Some(bytes)) => self.connection.handle_bytes(bytes, self.service.now()),
                Wake::Io(None) => {}
                Wake::Answer(next) => self.on_answer(next),
                Wake::Timer => self.on_timer(),
            }
        }
        (self.poll, self.newcomer) = (None, None);
        let now = self.service.now();
        self.wire.linger(&mut self.connection, now, timer).await
    }

    fn poll_wake(&mut self, context: &mut Context<'_>, timer: Pin<&mut SimTimer>) -> Poll<io::Result<Wake>> {
        let waited = self.wire.has_output(&self.connection);
        let written = self.wire.poll_write(&mut self.connection, context)?;
        if let Poll::Ready(read) = self.wire.poll_read(context)? {
            return Poll::Ready(Ok(Wake::Io(Some(read))));
        }
        if waited && written.is_ready() {
            return Poll::Ready(Ok(Wake::Io(None)));
        }
        if let Some((feed, _)) = &mut self.poll
            && let Poll::Ready(next) = feed.poll_next(context)
        {
            return Poll::Ready(Ok(Wake::Answer(next)));
        }
        let gives_up = self.poll.as_ref().map(|(_, until)| *until);
        let Some(due) = self.connection.poll_timeout().into_iter().chain(gives_up).min() else { return Poll::Pending };
        ready!(timer.poll_at(due, context));
        Poll::Ready(Ok(Wake::Timer))
    }

    fn on_timer(&mut self) {
        let now = self.service.now();
        self.connection.handle_timeout(now);
        if self.poll.as_ref().is_some_and(|(_, until)| *until <= now) {
            // An empty answer, whose `next` has two parts. What was being read is asked for again.
            (self.poll, self.proves) = (None, None);
        }
    }

    // ------------------------------------------------------------ what the device says

    async fn on_event(&mut self, event: Event) {
        match event {
            Event::Hello(hello) => {
                let attempt = self.stranger.attempt(&self.service);
                match self.service.hello(*hello, &attempt).await {
                    Ok(login) => self.welcome(login),
                    Err(refused) => self.connection.reject(refused.code, &refused.reason, refused.retry_after),
                }
            }
            Event::Resume(resume) => self.on_resume(*resume).await,
            Event::Send(send) => {
                let send_no = send.send_no;
                let Some(device) = self.request().await else { return };
                match device.session().send(send, SendNumber::Given(send_no)).await {
                    // The entry comes by the next poll, so the answer does not stand for it.
                    Some(Ok(ack)) => self.connection.acked(wire::SendAck { useq: 0, ..ack }, self.service.now()),
                    Some(Err(nack)) => self.connection.refused(nack),
                    None => self.connection.close(CloseCode::REPLACED, "the device has connected again"),
                }
            }
            Event::Acked(useq) => {
                if let Some(device) = self.request().await {
                    device.acked(useq);
                }
            }
            Event::Signal(signal) => {
                if let Some(device) = self.request().await {
                    device.session().signal(*signal).await;
                }
            }
            Event::Request(request) => {
                let Some(device) = self.request().await else { return };
                let response = device.session().request(*request).await;
                self.connection.respond(&response);
            }
            Event::Closed { .. } => self.wire.end(),
        }
    }

    async fn on_resume(&mut self, resume: wire::Resume) {
        let attempt = self.stranger.attempt(&self.service);
        let (cursor, limits_id) = (resume.cursor, resume.limits_id);
        match self.service.resume(resume, &attempt).await {
            Ok(CameBack { login, by_fallback: true }) => self.welcome(login),
            Ok(CameBack { login, .. }) => {
                self.connection.resumed(login.resumed(), cursor, limits_id, self.service.now());
                self.keep(login);
            }
            Err(refused) => self.connection.reject(refused.code, &refused.reason, refused.retry_after),
        }
    }

    fn welcome(&mut self, login: LoggedIn) {
        let welcome = self.service.welcome(&login);
        self.connection.welcome(welcome, self.service.now());
        self.keep(login);
    }

    fn keep(&mut self, login: LoggedIn) {
        if let Some(reset) = login.reset {
            self.connection.sync_reset(reset);
        }
        self.token = Some(login.resume_token.clone());
        self.newcomer = Some(self.devices.insert(login));
    }

    /// A request of the device, which shows that it has its token. None: it is served no more, and told so.
    async fn request(&mut self) -> Option<Present> {
        self.newcomer = None;
        // A request has the place of its connection in the order of all: the device may have left this one behind, half-open,
        // and then nothing that still speaks here may take its place from the newer one.
        let attempt = self.stranger.attempt(&self.service);
        let token = self.token.clone()?;
        let (code, reason) = match self.devices.find(&token, || attempt).await {
            Ok(device) => return Some(device),
            Err(DeviceError::Ended(code, reason)) => (code, reason),
            Err(DeviceError::Refused(refused)) => (refused.code, refused.reason),
            Err(_) => (CloseCode::OVERLOADED, "too many devices".into()),
        };
        self.connection.close(code, &reason);
        None
    }

    // ------------------------------------------------------------ what it reads

    async fn begin_poll(&mut self) {
        let place = self.connection.pushed();
        if self.poll.as_ref().is_some_and(|(feed, _)| feed.place().useq != place) {
            // It asks for older entries again.
            self.poll = None;
        }
        if self.poll.is_some() || !self.connection.is_live() || self.connection.push_room() == 0 || self.is_going_away {
            return;
        }
        let device = match &self.newcomer {
            Some(newcomer) => newcomer.again(),
            None => match self.request().await {
                Some(device) => device,
                None => return,
            },
        };
        let at = Place { log_epoch: Some(self.service.log_epoch()), useq: place, proves: self.proves };
        let until = self.service.now() + self.chance.span(10_000, 5_000_000);
        self.poll = Some((Feed::begin(device, at), until));
    }

    fn on_answer(&mut self, next: Next) {
        let Some((feed, _)) = self.poll.take() else { return };
        if self.chance.one_in(LOST_ONE_IN) {
            return;
        }
        self.proves = feed.place().proves;
        let now = self.service.now();
        match next {
            Next::Entries(run) => {
                for entry in run {
                    let (useq, own_send_no) = (entry.useq, entry.own_send_no);
                    if self.connection.push_room() > 0
                        && let Some(item) = entry.item
                    {
                        self.connection.push(useq, own_send_no, &encode_item(item), now);
                    }
                }
            }
            Next::Passed(passed) => {
                passed.into_iter().filter_map(|entry| entry.item).for_each(|item| {
                    self.connection.pass(&encode_item(item));
                });
            }
            Next::Signal(signal) => self.connection.signal(&signal),
            Next::Reset(reset) => self.connection.sync_reset(reset),
            Next::GoAway(wire::GoAway { deadline_ms, spread_ms, .. }) => {
                let [deadline, spread] = [deadline_ms, spread_ms].map(|ms| Duration::from_millis(ms.into()));
                self.connection.go_away(deadline, spread, &[]);
                self.is_going_away = true;
            }
            Next::Closed(code, reason) => self.connection.close(code, &reason),
            Next::Superseded => self.connection.close(CloseCode::REPLACED, "another poll has begun"),
        }
    }
}
