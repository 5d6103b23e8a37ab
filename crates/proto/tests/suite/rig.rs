//! Several devices, one reference server, and a simulated network between them, all in virtual time.
//!
//! The server here is as small as the protocol allows: a list of entries for each user, the answers it gave to each
//! device, resume tokens that it always accepts. What it does with a `server::Connection` is what a real one has to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use hongyan_proto::{CloseCode, client, frame::Frame, wire};

use crate::{
    core::Core,
    net::{Pipe, Plan, Rng},
};

/// The two directions between a device and the server.
pub struct Link {
    pub up: Pipe,
    pub down: Pipe,
    /// Whether the client's end still hears this link.
    pub heard: bool,
}

/// A device: the driver of a `client::Connection`, with an outbox and a store that survive every cut.
pub struct Device {
    pub uid: &'static str,
    pub name: &'static str,
    pub settings: client::Settings,
    pub connection: Option<client::Connection>,
    pub link: usize,
    /// `outbox[i]` is send_no `i + 1`.
    pub outbox: Vec<(String, Vec<u8>)>,
    pub answers: BTreeMap<u64, Answer>,
    pub entries: Vec<(u64, wire::Entry)>,
    pub cursor: u64,
    pub token: Option<Vec<u8>>,
    pub limits: Option<wire::Limits>,
    pub closes: Vec<CloseCode>,
    pub connect_at: Option<Instant>,
    /// Stores what it is given and answers PINGs, but tells the connection nothing.
    pub withholds_acks: bool,
    answered_here: BTreeSet<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Ack(wire::SendAck),
    Nack(i32),
}

pub struct World {
    pub now: Instant,
    pub rng: Rng,
    pub plan: Plan,
    pub core: Core,
    pub devices: Vec<Device>,
    pub links: Vec<Link>,
}

impl World {
    pub fn new(seed: u64, plan: Plan, devices: &[(&'static str, &'static str)]) -> Self {
        let start = Instant::now();
        let device = |&(uid, name): &(&'static str, &'static str)| Device {
            uid,
            name,
            settings: client::Settings::default(),
            connection: None,
            link: 0,
            outbox: Vec::new(),
            answers: BTreeMap::new(),
            entries: Vec::new(),
            cursor: 0,
            token: None,
            limits: None,
            closes: Vec::new(),
            connect_at: Some(start),
            withholds_acks: false,
            answered_here: BTreeSet::new(),
        };
        Self {
            now: start,
            rng: Rng(seed),
            plan,
            core: Core::default(),
            devices: devices.iter().map(device).collect(),
            links: Vec::new(),
        }
    }

    pub fn queue(&mut self, device: usize, to: &str, text: &str) {
        let device = &mut self.devices[device];
        device.outbox.push((to.into(), text.as_bytes().to_vec()));
        let last = device.outbox.len() as u64;
        if let Some(connection) = &mut device.connection {
            connection.queued(last);
        }
    }

    /// Lets virtual time pass until `done`, or until nothing can happen any more; at most `limit` of it.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&World) -> bool) -> bool {
        let end = self.now + limit;
        for round in 0.. {
            assert!(round < 200_000, "the run does not come to rest");
            let rest = (0..10_000).any(|_| !self.step());
            assert!(rest, "the two ends never stop writing to each other");
            if done(self) {
                return true;
            }
            match self.next_time() {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => break,
            }
        }
        self.now = end;
        false
    }

    pub fn run(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    pub fn is_drained(&self) -> bool {
        self.devices
            .iter()
            .all(|device| device.answers.len() == device.outbox.len() && device.cursor == self.core.head(device.uid))
    }

    fn next_time(&self) -> Option<Instant> {
        let devices = self.devices.iter().filter_map(|device| match &device.connection {
            Some(connection) => connection.poll_timeout(),
            None => device.connect_at,
        });
        let down = |link: &Link| link.down.next_time().filter(|_| link.heard);
        let links = self.links.iter().flat_map(|link| [link.up.next_time(), down(link)]).flatten();
        devices.chain(links).chain(self.core.next_time()).min()
    }

    /// One round of everybody. True: something happened, and more may follow at the same moment.
    fn step(&mut self) -> bool {
        let mut busy = false;
        for device in 0..self.devices.len() {
            busy |= self.connect(device) | self.drive_device(device);
        }
        for link in 0..self.links.len() {
            busy |= self.drive_link(link);
        }
        busy
    }

    fn connect(&mut self, index: usize) -> bool {
        let device = &mut self.devices[index];
        if device.connection.is_some() || device.connect_at.is_none_or(|at| at > self.now) {
            return false;
        }
        device.connect_at = None;
        device.link = self.links.len();
        device.answered_here.clear();
        device.connection = Some(device.open(self.now));
        let cuts = self.plan.cuts.pop().unwrap_or((None, None));
        let (up, down) = (Pipe::new(cuts.0), Pipe::new(cuts.1));
        self.links.push(Link { up, down, heard: true });
        self.core.accept(self.now);
        true
    }

    fn drive_device(&mut self, index: usize) -> bool {
        let device = &mut self.devices[index];
        let Some(connection) = &mut device.connection else { return false };
        let link = &mut self.links[device.link];
        let mut busy = false;
        if let Some(bytes) = link.down.read(self.now) {
            connection.handle_bytes(bytes);
            busy = true;
        }
        connection.handle_timeout(self.now);
        let over = device.handle_events(self.now);
        device.write_sends(self.now);
        let Some(connection) = &mut device.connection else { return true };
        if self.plan.grease && self.rng.below(8) == 0 && busy {
            connection.grease(self.rng.next() as u8);
        }
        busy |= link.up.write(connection.take_output(self.now), self.now, &self.plan, &mut self.rng);
        if over || link.up.is_cut() || link.down.is_cut() {
            device.connection = None;
            link.heard = false;
            // After silence a device comes back; a CLOSE is what a test has asked for.
            let stopped = over && device.closes.last().is_some_and(|code| *code != CloseCode::IDLE_TIMEOUT);
            device.connect_at = (!stopped).then(|| self.now + Duration::from_millis(10));
            busy = true;
        }
        busy
    }

    fn drive_link(&mut self, index: usize) -> bool {
        let link = &mut self.links[index];
        let mut busy = false;
        if !link.heard && !self.plan.half_open {
            self.core.drop_link(index);
        }
        if let Some(bytes) = link.up.read(self.now) {
            self.core.handle_bytes(index, bytes, self.now);
            busy = true;
        }
        self.core.drive(index, self.now, &mut self.rng);
        let grease = self.plan.grease && busy && self.rng.below(8) == 0;
        for link in 0..self.links.len() {
            let output = self.core.take_output(link, grease.then(|| self.rng.next() as u8));
            busy |= self.links[link].down.write(output, self.now, &self.plan, &mut self.rng);
        }
        busy
    }

    /// The frames that one end of a link has written, in order.
    pub fn written_by_server(&self, link: usize) -> Vec<Frame> {
        self.links[link].down.frames(false)
    }

    pub fn written_by_client(&self, link: usize) -> Vec<Frame> {
        self.links[link].up.frames(true)
    }
}

impl Device {
    fn first_unanswered(&self) -> u64 {
        (1..).find(|send_no| !self.answers.contains_key(send_no)).expect("there is always a free number")
    }

    fn open(&self, now: Instant) -> client::Connection {
        let last_queued = self.outbox.len() as u64;
        let place = client::Place { cursor: self.cursor, first_unanswered: self.first_unanswered(), last_queued };
        let hello = wire::Hello {
            uid: self.uid.into(),
            device: self.name.into(),
            device_epoch: 1,
            cursor: Some(self.cursor),
            last_send_no: last_queued,
            ..Default::default()
        };
        let Some(token) = &self.token else {
            return client::Connection::hello(self.settings.clone(), &hello, place, now);
        };
        let limits_id = self.limits.map_or(0, |limits| limits.id);
        let resume_token = token.clone().into();
        let resume = wire::Resume { resume_token, cursor: self.cursor, limits_id, fallback: None };
        let mut connection = client::Connection::resume(self.settings.clone(), &resume, place, now);
        if let Some(limits) = &self.limits {
            connection.set_limits(limits, now);
        }
        connection
    }

    fn handle_events(&mut self, now: Instant) -> bool {
        while let Some(event) = self.connection.as_mut().and_then(|connection| connection.poll_event(now)) {
            match event {
                client::Event::Welcome(welcome) => {
                    self.token = Some(welcome.resume_token.to_vec());
                    self.limits = welcome.limits;
                }
                client::Event::Resumed(resumed) => {
                    self.token = Some(resumed.resume_token.to_vec());
                    self.limits = resumed.limits.or(self.limits);
                }
                client::Event::Entry(entry) => self.entries.push((entry.useq, *entry)),
                // Told before, by its answer.
                client::Event::Own(_) => {}
                client::Event::Answered(ack) => self.on_answer(ack.send_no, Answer::Ack(ack)),
                client::Event::Refused(nack) => self.on_answer(nack.send_no, Answer::Nack(nack.code)),
                client::Event::Closed { code, .. } => {
                    self.closes.push(code);
                    return true;
                }
                client::Event::Rejected(_) | client::Event::GoAway(_) | client::Event::Reset(_) => {}
                client::Event::Postponed(_) | client::Event::Signal(_) | client::Event::Response(_) => {}
            }
        }
        if let Some(connection) = self.connection.as_mut().filter(|_| !self.withholds_acks) {
            self.cursor = connection.applied();
            connection.stored(self.cursor);
        }
        false
    }

    fn on_answer(&mut self, send_no: u64, answer: Answer) {
        assert!(self.answered_here.insert(send_no), "{send_no} was answered twice on one connection");
        let before = self.answers.insert(send_no, answer.clone());
        assert!(before.is_none_or(|before| before == answer), "{send_no} has two different answers");
    }

    fn write_sends(&mut self, now: Instant) {
        let Some(connection) = &mut self.connection else { return };
        while let Some(send_no) = connection.poll_send(now) {
            let (to, content) = self.outbox[send_no as usize - 1].clone();
            connection.send(&wire::Send { send_no, to, content: content.into(), ..Default::default() }, now);
        }
    }
}
