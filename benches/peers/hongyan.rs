//! Hongyan's native protocol, version 1, as peerbench drives it: frames of LEN (u24) TYPE and a protobuf body, both
//! written by hand. A copy of this file replaces peerbench's src/proto/hongyan.rs.
//!
//! What it does as an SDK does: it logs in with a token (HS256, minted here), keeps below the credit, acks cumulatively,
//! answers PINGs, and checks that useqs are dense. When it acks: the first entry after a quiet time at once, otherwise at
//! 16 unacked entries, with any frame that leaves anyway, or 200 ms after the ack before. There are no timers here, so
//! the 200 ms are looked at when bytes come or leave; entries that are last and alone stay unacked until then, which
//! costs nothing that is measured (the server may push them again after its ack timeout; they are dropped by useq).
//!
//! A user that has logged in before in this process comes back with RESUME, as its device would.
use super::*;
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
}

impl Hongyan {
    pub fn new(o: Opts) -> Hongyan {
        let state = kept().lock().unwrap().get(&o.user).cloned().unwrap_or_default();
        let acked = state.cursor;
        Hongyan { o, up: false, state, max_send_no: 0, pending: VecDeque::new(), waiting: VecDeque::new(), acked, pushed: acked, last_ack: 0, repeat: false }
    }

    /// What the device would find in its own store when it comes back.
    fn keep(&self) {
        let mut kept = kept().lock().unwrap();
        if kept.get(&self.o.user).is_none_or(|k| k.cursor <= self.state.cursor) {
            kept.insert(self.o.user, self.state.clone());
        }
    }

    fn write(&mut self, to: u32, m: Meta, out: &mut Vec<u8>) {
        self.state.last_send_no += 1;
        let no = self.state.last_send_no;
        self.pending.push_back((no, m.seq));
        let mut name = [0u8; 11];
        let name = uid(to, &mut name);
        frame(out, SEND, |b| {
            num(b, 1, no);
            bytes(b, 2, name);
            bytes(b, 3, &text(m));
        });
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
                ev.push(Ev::Acked(seq));
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
        if useq <= self.state.cursor {
            self.repeat = true;
            return Ok(());
        }
        if useq != self.state.cursor + 1 {
            return Err("hongyan: a useq was left out");
        }
        self.state.cursor = useq;
        self.pushed = useq;
        if own > 0 {
            return self.answered(own, ev);
        }
        let Some(m) = message else { return Ok(()) };
        let mut found = None;
        let mut from: &[u8] = b"";
        fields(m, |tag, v| {
            match (tag, v) {
                (1, Val::Bytes(f)) => from = f,
                (5, Val::Bytes(c)) => found = parse_text(c),
                _ => {}
            }
            Ok(())
        })?;
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
                    let (mut no, mut useq) = (0, 0);
                    fields(b, |tag, v| {
                        match (tag, v) {
                            (1, Val::Num(n)) => no = n,
                            (3, Val::Num(n)) => useq = n,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    if useq == self.state.cursor + 1 {
                        self.state.cursor = useq;
                    }
                    self.answered(no, ev)?;
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

    fn send_group(&mut self, _g: u32, _m: Meta, _out: &mut Vec<u8>) {}

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

// ---------------------------------------------------------------- frames and protobuf

fn frame(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0, 0, 0, kind]);
    body(out);
    let len = (out.len() - at - 3) as u32;
    out[at..at + 3].copy_from_slice(&len.to_be_bytes()[1..]);
}

fn varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn num(out: &mut Vec<u8>, tag: u8, v: u64) {
    out.push(tag << 3);
    varint(out, v);
}

fn bytes(out: &mut Vec<u8>, tag: u8, v: &[u8]) {
    out.push(tag << 3 | 2);
    varint(out, v.len() as u64);
    out.extend_from_slice(v);
}

enum Val<'a> {
    Num(u64),
    Bytes(&'a [u8]),
    Fixed(u32),
}

const BAD: &str = "hongyan: a body is not protobuf";

fn read_varint(b: &mut &[u8]) -> Result<u64, &'static str> {
    let mut v = 0;
    for i in 0..10 {
        let (&x, rest) = b.split_first().ok_or(BAD)?;
        *b = rest;
        v |= ((x & 127) as u64) << (7 * i);
        if x < 128 {
            return Ok(v);
        }
    }
    Err(BAD)
}

fn take<'a>(b: &mut &'a [u8], n: usize) -> Result<&'a [u8], &'static str> {
    if b.len() < n {
        return Err(BAD);
    }
    let (head, rest) = b.split_at(n);
    *b = rest;
    Ok(head)
}

fn fields<'a>(mut b: &'a [u8], mut f: impl FnMut(u64, Val<'a>) -> Result<(), &'static str>) -> Result<(), &'static str> {
    while !b.is_empty() {
        let key = read_varint(&mut b)?;
        let v = match key & 7 {
            0 => Val::Num(read_varint(&mut b)?),
            2 => {
                let n = read_varint(&mut b)? as usize;
                Val::Bytes(take(&mut b, n)?)
            }
            5 => Val::Fixed(u32::from_le_bytes(take(&mut b, 4)?.try_into().unwrap())),
            1 => {
                take(&mut b, 8)?;
                continue;
            }
            _ => return Err(BAD),
        };
        f(key >> 3, v)?;
    }
    Ok(())
}

fn first_num(b: &[u8]) -> Result<u64, &'static str> {
    let mut n = 0;
    fields(b, |tag, v| {
        if let (1, Val::Num(v)) = (tag, v) {
            n = v;
        }
        Ok(())
    })?;
    Ok(n)
}

/// "u12": as long as the topics of the other protocols.
fn uid(user: u32, buf: &mut [u8; 11]) -> &[u8] {
    let (mut i, mut v) = (buf.len(), user);
    loop {
        i -= 1;
        buf[i] = b'0' + (v % 10) as u8;
        v /= 10;
        if v == 0 {
            break;
        }
    }
    i -= 1;
    buf[i] = b'u';
    &buf[i..]
}

// ---------------------------------------------------------------- tokens

/// The secret that hongyan.sh writes into its configuration: a benchmark on loopback keeps no secrets.
const SECRET: &[u8] = b"peerbench-peerbench-peerbench-01";

/// A JSON Web Token, HS256.
fn mint(user: u32) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let claims = format!(r#"{{"iss":"hongyan","aud":"hongyan","sub":"u{user}","iat":{now},"exp":{}}}"#, now + 86_400);
    let signed = format!("{}.{}", base64url(br#"{"alg":"HS256","kid":"peerbench"}"#), base64url(claims.as_bytes()));
    let mac = hmac_sha256(SECRET, signed.as_bytes());
    format!("{signed}.{}", base64url(&mac))
}

fn base64url(b: &[u8]) -> String {
    const A: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut s = String::new();
    for c in b.chunks(3) {
        let v = (c[0] as u32) << 16 | (*c.get(1).unwrap_or(&0) as u32) << 8 | *c.get(2).unwrap_or(&0) as u32;
        for i in 0..=c.len() {
            s.push(A[(v >> (18 - 6 * i) & 63) as usize] as char);
        }
    }
    s
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 64];
    block[..key.len()].copy_from_slice(key); // SECRET is shorter than a block
    let pad = |x: u8| block.map(|k| k ^ x).to_vec();
    let inner = sha256(&[pad(0x36), data.to_vec()].concat());
    sha256(&[pad(0x5c), inner.to_vec()].concat())
}

fn sha256(data: &[u8]) -> [u8; 32] {
    const K: [u32; 64] = [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74,
        0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d,
        0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e,
        0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5,
        0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    ];
    let mut h: [u32; 8] = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
    let mut m = data.to_vec();
    m.push(0x80);
    while m.len() % 64 != 56 {
        m.push(0);
    }
    m.extend_from_slice(&(data.len() as u64 * 8).to_be_bytes());
    for c in m.chunks(64) {
        let mut w = [0u32; 64];
        for i in 0..16 {
            w[i] = u32::from_be_bytes(c[4 * i..4 * i + 4].try_into().unwrap());
        }
        for i in 16..64 {
            let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ w[i - 15] >> 3;
            let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ w[i - 2] >> 10;
            w[i] = w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1);
        }
        let mut v = h;
        for i in 0..64 {
            let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
            let ch = v[4] & v[5] ^ !v[4] & v[6];
            let t1 = v[7].wrapping_add(s1).wrapping_add(ch).wrapping_add(K[i]).wrapping_add(w[i]);
            let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
            let maj = v[0] & v[1] ^ v[0] & v[2] ^ v[1] & v[2];
            v = [t1.wrapping_add(s0.wrapping_add(maj)), v[0], v[1], v[2], v[3].wrapping_add(t1), v[4], v[5], v[6]];
        }
        for (a, b) in h.iter_mut().zip(v) {
            *a = a.wrapping_add(b);
        }
    }
    let mut r = [0; 32];
    for (i, x) in h.iter().enumerate() {
        r[4 * i..4 * i + 4].copy_from_slice(&x.to_be_bytes());
    }
    r
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        let hex: String = mac.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_eq!(base64url(b"\xfb\xff\xfe\x01"), "-__-AQ");
    }

    #[test]
    fn names_and_frames() {
        assert_eq!(uid(0, &mut [0; 11]), b"u0");
        assert_eq!(uid(u32::MAX, &mut [0; 11]), b"u4294967295");
        let mut out = vec![];
        frame(&mut out, ACK, |b| num(b, 1, 300));
        assert_eq!(out, [0, 0, 4, 8, 8, 0xAC, 2]);
    }
}
