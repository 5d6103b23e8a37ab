//! One user's connection, as peerbench drives it.
//!
//! What it does as an SDK does: it logs in with a token (HS256, minted here), keeps below the credit, acks cumulatively,
//! answers PINGs, and checks that useqs are dense. When it acks: the first entry after a quiet time at once, otherwise at
//! 16 unacked entries, with any frame that leaves anyway, or 200 ms after the ack before. There are no timers here, so
//! the 200 ms are looked at when bytes come or leave; entries that are last and alone stay unacked until then, which
//! costs nothing that is measured (the server may push them again after its ack timeout; they are dropped by useq).
//!
//! A user that has logged in before in this process comes back with RESUME, as its device would.
use super::group::{self, Step, GROUP};
use super::token::mint;
use super::wire::{bytes, fields, first_num, frame, num, uid, Val};
use crate::proto::*;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, OnceLock};

const HELLO: u8 = 0x01;
const WELCOME: u8 = 0x02;
const RESUME: u8 = 0x03;
const RESUMED: u8 = 0x04;
const PING: u8 = 0x06;
const PONG: u8 = 0x07;
const ACK: u8 = 0x08;
const CREDIT: u8 = 0x09;
const CLOSE: u8 = 0x0B;
const SEND: u8 = 0x10;
const SEND_ACK: u8 = 0x11;
const PUSH: u8 = 0x13;

/// Stands for the seq of what is no message.
const ACT: u64 = u64::MAX;
const ACK_EVERY: u64 = 16;
const ACK_PAUSE: u64 = 200_000_000;

/// What a device keeps between two connections.
#[derive(Clone, Default)]
struct Kept {
    token: Vec<u8>,
    cursor: u64,
    limits: u32,
    last_send_no: u64,
}

/// By user. One process is one run, and a device that was here before resumes.
fn kept() -> &'static Mutex<HashMap<u32, Kept>> {
    static KEPT: OnceLock<Mutex<HashMap<u32, Kept>>> = OnceLock::new();
    KEPT.get_or_init(Default::default)
}

/// One device epoch for the whole process: a later run is a new device to the server.
fn device_epoch() -> u32 {
    static EPOCH: OnceLock<u32> = OnceLock::new();
    *EPOCH.get_or_init(|| std::process::id() << 8 | (crate::sys::now() as u32 & 0xff) | 1)
}

pub struct Hongyan {
    o: Opts,
    up: bool,
    state: Kept,
    max_send_no: u64,
    /// (send_no, seq) of what is written and not answered
    pending: VecDeque<(u64, u64)>,
    /// messages that wait for credit
    waiting: VecDeque<(u32, Meta)>,
    acked: u64,
    pushed: u64,
    last_ack: u64,
    repeat: bool,
    /// the sender has joined the group
    joined: bool,
}

impl Hongyan {
    pub fn new(o: Opts) -> Hongyan {
        let state = kept().lock().unwrap().get(&o.user).cloned().unwrap_or_default();
        let acked = state.cursor;
        Hongyan { o, up: false, state, max_send_no: 0, pending: VecDeque::new(), waiting: VecDeque::new(), acked, pushed: acked, last_ack: 0, repeat: false, joined: false }
    }

    /// What the device would find in its own store when it comes back.
    fn keep(&self) {
        let mut kept = kept().lock().unwrap();
        if kept.get(&self.o.user).is_none_or(|k| k.cursor <= self.state.cursor) {
            kept.insert(self.o.user, self.state.clone());
        }
    }

    fn write(&mut self, to: u32, m: Meta, out: &mut Vec<u8>) {
        self.write_to(uid(to, &mut [0; 11]), 3, &text(m), m.seq, out);
    }

    /// A SEND: content (3) or act (5).
    fn write_to(&mut self, to: &[u8], tag: u8, what: &[u8], seq: u64, out: &mut Vec<u8>) {
        self.state.last_send_no += 1;
        let no = self.state.last_send_no;
        self.pending.push_back((no, seq));
        frame(out, SEND, |b| {
            num(b, 1, no);
            bytes(b, 2, to);
            bytes(b, tag, what);
        });
    }

    fn enter_group(&mut self, out: &mut Vec<u8>) {
        match GROUP.lock().unwrap().on_login(self.o.user) {
            Step::Create => self.write_to(b"", 5, &group::create(), ACT, out),
            Step::Join(number) => self.write_to(&group::name(number), 5, &group::join(), ACT, out),
            Step::Wait => {}
        }
    }

    fn put_ack(&mut self, now: u64, out: &mut Vec<u8>) {
        if self.state.cursor > self.acked || self.repeat {
            self.acked = self.state.cursor;
            self.repeat = false;
            self.last_ack = now;
            let useq = self.acked;
            frame(out, ACK, |b| num(b, 1, useq));
        }
    }

    fn ack_if_due(&mut self, out: &mut Vec<u8>) {
        if self.state.cursor == self.acked && !self.repeat {
            return;
        }
        let many = self.state.cursor - self.acked >= ACK_EVERY;
        if many || self.pushed > self.acked || self.repeat {
            let now = crate::sys::now();
            if many || now >= self.last_ack + ACK_PAUSE {
                self.put_ack(now, out);
            }
        }
    }

    fn credit(&mut self, max: u64, out: &mut Vec<u8>) {
        self.max_send_no = self.max_send_no.max(max);
        while self.state.last_send_no < self.max_send_no {
            match self.waiting.pop_front() {
                Some((to, m)) => self.write(to, m, out),
                None => break,
            }
        }
    }

    fn answered(&mut self, no: u64, ev: &mut Vec<Ev>) -> Result<(), &'static str> {
        match self.pending.front() {
            Some(&(first, seq)) if first == no => {
                self.pending.pop_front();
                if seq != ACT {
                    ev.push(Ev::Acked(seq));
                }
                Ok(())
            }
            Some(&(first, _)) if first < no => Err("hongyan: an answer was left out"),
            _ => Ok(()),
        }
    }

    fn login(&mut self, resumed: bool, b: &[u8], out: &mut Vec<u8>, ev: &mut Vec<Ev>) -> Result<(), &'static str> {
        // WELCOME: 2 resume token, 5 last send_no, 6 credit, 8 cursor, 9 limits; RESUMED: 2, 4, 5, 6
        let (mut max, mut cursor, mut sent) = (0, 0, 0);
        fields(b, |tag, v| {
            match (tag, v) {
                (2, Val::Bytes(t)) => self.state.token = t.to_vec(),
                (4, Val::Num(n)) if resumed => sent = n,
                (5, Val::Num(n)) if resumed => max = n,
                (5, Val::Num(n)) => sent = n,
                (6, Val::Num(n)) if !resumed => max = n,
                (8, Val::Num(n)) if !resumed => cursor = n,
                (9, Val::Bytes(l)) if !resumed => fields(l, |tag, v| {
                    if let (9, Val::Fixed(id)) = (tag, v) {
                        self.state.limits = id;
                    }
                    Ok(())
                })?,
                _ => {}
            }
            Ok(())
        })?;
        if resumed && sent != self.state.last_send_no {
            return Err("hongyan: messages were on their way when the device left; this driver does not send again");
        }
        if !resumed {
            self.state.last_send_no = sent;
            self.state.cursor = cursor;
            self.acked = cursor;
            self.pushed = cursor;
        }
        self.keep();
        self.up = true;
        ev.push(Ev::Login);
        self.credit(max, out);
        if self.o.group.is_some() && !resumed {
            self.enter_group(out);
        }
        Ok(())
    }

    fn push(&mut self, b: &[u8], ev: &mut Vec<Ev>) -> Result<(), &'static str> {
        let (mut useq, mut own, mut message) = (0, 0, None);
        fields(b, |tag, v| {
            match (tag, v) {
                (1, Val::Num(n)) => useq = n,
                (2, Val::Num(n)) => own = n,
                (4, Val::Bytes(m)) => message = Some(m),
                _ => {}
            }
            Ok(())
        })?;
        // 0: in a large group, not in the log.
        if useq > 0 && useq <= self.state.cursor {
            self.repeat = true;
            return Ok(());
        }
        if useq > self.state.cursor + 1 {
            return Err("hongyan: a useq was left out");
        }
        if useq > 0 {
            self.state.cursor = useq;
            self.pushed = useq;
        }
        if own > 0 {
            return self.answered(own, ev);
        }
        let Some(m) = message else { return Ok(()) };
        let (mut found, mut is_act) = (None, false);
        let mut from: &[u8] = b"";
        fields(m, |tag, v| {
            match (tag, v) {
                (1, Val::Bytes(f)) => from = f,
                (5, Val::Bytes(c)) => found = parse_text(c),
                (7, Val::Bytes(_)) => is_act = true,
                _ => {}
            }
            Ok(())
        })?;
        if is_act {
            return Ok(());
        }
        let m = found.ok_or("hongyan: bad text")?;
        if from != uid(m.src, &mut [0; 11]) {
            return Err("hongyan: a message from somebody else than it says");
        }
        ev.push(Ev::Recv(m));
        Ok(())
    }
}

impl Proto for Hongyan {
    fn start(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0xA9, b'H', b'Y', 1]);
        if self.state.token.is_empty() {
            let token = mint(self.o.user);
            frame(out, HELLO, |b| {
                bytes(b, 2, b"peerbench");
                num(b, 3, device_epoch() as u64);
                bytes(b, 4, token.as_bytes());
            });
        } else {
            frame(out, RESUME, |b| {
                bytes(b, 1, &self.state.token);
                num(b, 2, self.state.cursor);
                b.push(3 << 3 | 5);
                b.extend_from_slice(&self.state.limits.to_le_bytes());
            });
        }
    }

    fn feed(&mut self, d: &[u8], out: &mut Vec<u8>, ev: &mut Vec<Ev>) -> Result<usize, &'static str> {
        let mut p = 0;
        while d.len() - p >= 4 {
            let l = (d[p] as usize) << 16 | (d[p + 1] as usize) << 8 | d[p + 2] as usize;
            if l == 0 {
                return Err("hongyan: a frame of length 0");
            }
            if d.len() - p < 3 + l {
                break;
            }
            let b = &d[p + 4..p + 3 + l];
            match d[p + 3] & 0x3f {
                PUSH => self.push(b, ev)?,
                SEND_ACK => {
                    let (mut no, mut useq, mut made) = (0, 0, 0);
                    fields(b, |tag, v| {
                        match (tag, v) {
                            (1, Val::Num(n)) => no = n,
                            (3, Val::Num(n)) => useq = n,
                            (5, Val::Num(n)) => made = n,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    if useq == self.state.cursor + 1 {
                        self.state.cursor = useq;
                    }
                    self.answered(no, ev)?;
                    if made > 0 {
                        let users = GROUP.lock().unwrap().on_created(made);
                        for users in users.chunks(500) {
                            self.write_to(&group::name(made), 5, &group::invite(users), ACT, out);
                        }
                    }
                }
                CREDIT => {
                    let max = first_num(b)?;
                    self.credit(max, out);
                }
                WELCOME => self.login(false, b, out, ev)?,
                RESUMED => self.login(true, b, out, ev)?,
                PING => {
                    // the ack goes first: one that follows a PONG counts as withheld
                    self.put_ack(crate::sys::now(), out);
                    frame(out, PONG, |_| {});
                }
                0x05 => return Err("hongyan: the login was refused"),
                0x0A => return Err("hongyan: the server is stopping"),
                0x0B => return Err("hongyan: the server closed the connection"),
                0x12 => return Err("hongyan: a message was refused"),
                0x1B => return Err("hongyan: the log was reset"),
                _ => {} // PONG, signals, and the kinds that are sent at random and mean nothing
            }
            p += 3 + l;
        }
        if self.up && out.is_empty() {
            self.ack_if_due(out);
        } else if self.up {
            self.put_ack(crate::sys::now(), out);
        }
        Ok(p)
    }

    fn send(&mut self, to: u32, m: Meta, out: &mut Vec<u8>) {
        if self.waiting.is_empty() && self.state.last_send_no < self.max_send_no {
            if out.is_empty() && self.state.cursor > self.acked {
                self.put_ack(crate::sys::now(), out);
            }
            self.write(to, m, out);
        } else {
            self.waiting.push_back((to, m));
        }
    }

    fn send_group(&mut self, _g: u32, m: Meta, out: &mut Vec<u8>) {
        let Some(number) = GROUP.lock().unwrap().number() else { return };
        let name = group::name(number);
        if !std::mem::replace(&mut self.joined, true) {
            self.write_to(&name, 5, &group::join(), ACT, out);
        }
        self.write_to(&name, 3, &text(m), m.seq, out);
    }

    fn ping(&mut self, out: &mut Vec<u8>) {
        self.put_ack(crate::sys::now(), out);
        frame(out, PING, |_| {});
    }

    fn bye(&mut self, out: &mut Vec<u8>) {
        self.put_ack(crate::sys::now(), out);
        frame(out, CLOSE, |b| num(b, 1, 1000));
        self.keep();
    }
}

impl Drop for Hongyan {
    fn drop(&mut self) {
        self.keep();
    }
}
