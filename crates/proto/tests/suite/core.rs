//! The reference server: the least that the protocol asks of one.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use hongyan_proto::{
    Bytes, BytesMut, CloseCode, server,
    wire::{self, NackCode, entry::Item},
};

use crate::net::Rng;

pub fn limits() -> wire::Limits {
    wire::Limits {
        max_frame: 65_536,
        max_content: 32_768,
        push_window: 64,
        heartbeat_ms: 60_000,
        heartbeat_min_ms: 10_000,
        heartbeat_max_ms: 600_000,
        sends_per_s: 50,
        send_burst: 200,
        id: 0x5EED_0001,
    }
}

pub fn settings() -> server::Settings {
    server::Settings {
        login_timeout: Duration::from_secs(5),
        limits: limits(),
        send_window: 64,
        push: server::PushSettings::default(),
    }
}

/// One line of a user's log.
#[derive(Clone)]
struct Line {
    /// The device that sent it, and its number, if the user did.
    own: Option<(String, u64)>,
    item: Bytes,
}

#[derive(Clone)]
enum Answer {
    Ack(wire::SendAck),
    Nack(wire::SendNack),
}

#[derive(Default)]
struct Seen {
    conn_epoch: u64,
    cursor: u64,
    answers: Vec<Answer>,
}

struct Served {
    connection: server::Connection,
    who: Option<(String, String)>,
}

#[derive(Default)]
pub struct Core {
    logs: BTreeMap<String, Vec<Line>>,
    cseqs: BTreeMap<(String, String), u64>,
    devices: BTreeMap<(String, String), Seen>,
    served: Vec<Option<Served>>,
    pub closes: Vec<(usize, CloseCode)>,
    pub settings: Option<Arc<server::Settings>>,
    /// One in so many new messages is refused for now; 0: none.
    pub refuse_one_in: u64,
    /// Answers that are prepared but not given while this is set.
    pub hold_answers: bool,
    held: VecDeque<(usize, Answer)>,
}

impl Core {
    pub fn accept(&mut self, now: Instant) {
        let settings = self.settings.get_or_insert_with(|| Arc::new(settings())).clone();
        self.served.push(Some(Served { connection: server::Connection::new(settings, now), who: None }));
    }

    pub fn head(&self, uid: &str) -> u64 {
        self.logs.get(uid).map_or(0, Vec::len) as u64
    }

    pub fn next_time(&self) -> Option<Instant> {
        self.served.iter().flatten().filter_map(|served| served.connection.poll_timeout()).min()
    }

    pub fn connection(&mut self, link: usize) -> Option<&mut server::Connection> {
        self.served[link].as_mut().map(|served| &mut served.connection)
    }

    /// Forgets the answers that were held back.
    pub fn swallow_answers(&mut self) {
        self.held.clear();
    }

    pub fn drop_link(&mut self, link: usize) {
        self.served[link] = None;
    }

    pub fn handle_bytes(&mut self, link: usize, bytes: BytesMut, now: Instant) {
        if let Some(connection) = self.connection(link) {
            connection.handle_bytes(bytes, now);
        }
    }

    pub fn take_output(&mut self, link: usize, grease: Option<u8>) -> BytesMut {
        let Some(connection) = self.connection(link) else { return BytesMut::new() };
        if let Some(random) = grease.filter(|_| connection.is_live()) {
            connection.grease(random);
        }
        connection.take_output()
    }

    pub fn drive(&mut self, link: usize, now: Instant, rng: &mut Rng) {
        if let Some(connection) = self.connection(link) {
            connection.handle_timeout(now);
        }
        while let Some(event) = self.connection(link).and_then(|connection| connection.poll_event(now)) {
            match event {
                server::Event::Hello(hello) => self.on_hello(link, &hello, now),
                server::Event::Resume(resume) => self.on_resume(link, &resume, now),
                server::Event::Send(send) => self.on_send(link, send, now, rng),
                server::Event::Acked(useq) => self.device(link).cursor = useq,
                server::Event::Closed { code, .. } => self.closes.push((link, code)),
                server::Event::Signal(_) | server::Event::Request(_) => {}
            }
        }
        while !self.hold_answers
            && let Some((link, answer)) = self.held.pop_front()
        {
            self.give(link, answer, now);
        }
        self.read_log(link, now);
    }

    fn device(&mut self, link: usize) -> &mut Seen {
        let who = self.served[link].as_ref().and_then(|served| served.who.clone()).expect("logged in");
        self.devices.entry(who).or_default()
    }

    /// Of one device's connections the later accepted one wins: the login of an abandoned one may arrive after it.
    fn is_late(&mut self, link: usize, who: &(String, String)) -> bool {
        let mut newer = self.served.iter().skip(link + 1).flatten();
        let late = newer.any(|other| other.who.as_ref() == Some(who));
        if late {
            let connection = self.connection(link).expect("an event came from it");
            connection.reject(CloseCode::REPLACED, "", Duration::ZERO);
        }
        late
    }

    /// Binds the link to its device; whatever served the device before is over.
    fn bind(&mut self, link: usize, who: (String, String)) -> (u64, u64, u64) {
        for served in
            self.served.iter_mut().filter(|other| other.as_ref().is_some_and(|o| o.who.as_ref() == Some(&who)))
        {
            *served = None;
        }
        let head = self.head(&who.0);
        self.served[link].as_mut().expect("an event came from it").who = Some(who);
        let device = self.device(link);
        device.conn_epoch += 1;
        (device.conn_epoch, head, device.answers.len() as u64)
    }

    fn on_hello(&mut self, link: usize, hello: &wire::Hello, now: Instant) {
        let who = (hello.uid.clone(), hello.device.clone());
        if self.is_late(link, &who) {
            return;
        }
        let (conn_epoch, head, last_send_no) = self.bind(link, who);
        let cursor = hello.cursor.unwrap_or(self.device(link).cursor).min(head);
        let resume_token = Bytes::from(format!("{}/{}", hello.uid, hello.device));
        let uid = hello.uid.clone();
        let welcome = wire::Welcome { conn_epoch, resume_token, head, last_send_no, cursor, uid, ..Default::default() };
        self.connection(link).expect("an event came from it").welcome(welcome, now);
    }

    fn on_resume(&mut self, link: usize, resume: &wire::Resume, now: Instant) {
        let token = String::from_utf8(resume.resume_token.to_vec()).expect("our own token");
        let (uid, device) = token.split_once('/').expect("our own token");
        let who = (uid.into(), device.into());
        if self.is_late(link, &who) {
            return;
        }
        let (conn_epoch, head, last_send_no) = self.bind(link, who);
        let resume_token = resume.resume_token.clone();
        let resumed = wire::Resumed { conn_epoch, resume_token, head, last_send_no, ..Default::default() };
        let connection = self.connection(link).expect("an event came from it");
        connection.resumed(resumed, resume.cursor.min(head), resume.limits_id, now);
    }

    fn on_send(&mut self, link: usize, send: wire::Send, now: Instant, rng: &mut Rng) {
        let refuse = self.refuse_one_in != 0 && rng.below(self.refuse_one_in) == 0;
        let device = self.device(link);
        let expected = device.answers.len() as u64 + 1;
        let send_no = send.send_no;
        if let Some(answer) = device.answers.get(send_no as usize - 1).cloned() {
            return self.answer(link, answer, now);
        }
        let nack = |code: NackCode| wire::SendNack { send_no, code: code as i32, ..Default::default() };
        if send_no > expected {
            return self.answer(link, Answer::Nack(wire::SendNack { expected, ..nack(NackCode::NackGap) }), now);
        }
        if refuse {
            let nack = wire::SendNack { retry_after_ms: rng.below(3) as u32 * 50, ..nack(NackCode::NackRateLimited) };
            return self.answer(link, Answer::Nack(nack), now);
        }
        if send.to == "nobody" {
            self.device(link).answers.push(Answer::Nack(nack(NackCode::NackNotFound)));
            return self.answer(link, Answer::Nack(nack(NackCode::NackNotFound)), now);
        }
        let ack = self.commit(link, send);
        self.device(link).answers.push(Answer::Ack(ack));
        self.answer(link, Answer::Ack(ack), now);
        self.offer(link, now);
    }

    /// Appends the message to the sender's log and the recipient's.
    fn commit(&mut self, link: usize, send: wire::Send) -> wire::SendAck {
        let (from, device) = self.served[link].as_ref().and_then(|served| served.who.clone()).expect("logged in");
        let mut pair = [from.clone(), send.to.clone()];
        pair.sort();
        let [a, b] = pair;
        let cseq = self.cseqs.entry((a, b)).or_default();
        *cseq += 1;
        let (cseq, send_no, to) = (*cseq, send.send_no, send.to);
        let message = wire::Message {
            from: from.clone(),
            to: to.clone(),
            cseq,
            time_ms: 7,
            content: send.content,
            ..Default::default()
        };
        let item = server::encode_item(Item::Message(message));
        if to != from {
            self.logs.entry(to).or_default().push(Line { own: None, item: item.clone() });
        }
        let log = self.logs.entry(from).or_default();
        log.push(Line { own: Some((device, send_no)), item });
        wire::SendAck { send_no, cseq, useq: log.len() as u64, time_ms: 7, group: 0 }
    }

    fn answer(&mut self, link: usize, answer: Answer, now: Instant) {
        if self.hold_answers { self.held.push_back((link, answer)) } else { self.give(link, answer, now) }
    }

    fn give(&mut self, link: usize, answer: Answer, now: Instant) {
        let Some(connection) = self.connection(link) else { return };
        match answer {
            Answer::Ack(ack) => connection.acked(ack, now),
            Answer::Nack(nack) => connection.refused(nack),
        }
    }

    /// Tells every link about the newest entries; those that are not behind and have room get them at once.
    fn offer(&mut self, sender: usize, now: Instant) {
        for link in 0..self.served.len() {
            let Some((uid, device)) = self.served[link].as_ref().and_then(|served| served.who.clone()) else {
                continue;
            };
            let head = self.head(&uid);
            let Some(line) = self.logs.get(&uid).and_then(|log| log.last().cloned()) else { continue };
            let connection = self.connection(link).expect("it has a who");
            connection.on_head(head);
            if link == sender || connection.lagging_after().is_some() {
                continue;
            }
            if connection.push_room() == 0 {
                connection.set_lagging(true);
            } else {
                connection.push(head, own_send_no(&line, &device), &line.item, now);
            }
        }
    }

    /// Reads the log for a link that is behind, as far as its window goes.
    fn read_log(&mut self, link: usize, now: Instant) {
        let Some((uid, device)) = self.served[link].as_ref().and_then(|served| served.who.clone()) else { return };
        let log = self.logs.entry(uid).or_default();
        let Some(served) = self.served[link].as_mut() else { return };
        while let Some(after) = served.connection.lagging_after() {
            let Some(line) = log.get(after as usize) else { return served.connection.set_lagging(false) };
            if served.connection.push_room() == 0 {
                return;
            }
            assert!(served.connection.push(after + 1, own_send_no(line, &device), &line.item, now));
        }
    }
}

fn own_send_no(line: &Line, device: &str) -> u64 {
    line.own.as_ref().filter(|(name, _)| name == device).map_or(0, |(_, send_no)| *send_no)
}
