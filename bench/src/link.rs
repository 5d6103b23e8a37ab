//! One connection's transport: the socket, TLS if there is any, and the device that speaks over it.

use std::{
    io::{self, ErrorKind, Read, Write},
    sync::Arc,
};

use bytes::Buf;
use hongyan_client::CertificateProblem;
use rustls::ClientConnection;
use socket2::Socket;

use crate::{
    device::{Device, Event},
    run::Run,
    traffic::Traffic,
};

/// Bytes that TLS hands out at once.
const PLAIN_BYTES: usize = 16 * 1024;

pub struct Link {
    pub device: Device,
    pub socket: Option<Socket>,
    tls: Option<Box<ClientConnection>>,
    /// The beginning of a frame whose rest has not come.
    rest: Vec<u8>,
    /// The link is on the engine's list of links to write.
    pub is_dirty: bool,
    /// The socket takes nothing more at the moment, or is not connected yet.
    pub wants_out: bool,
    /// The earliest moment that the engine has noted for the device.
    pub armed: u64,
}

/// What a link needs to read.
pub struct Reading<'a> {
    pub run: &'a Run,
    pub buffer: &'a mut [u8],
    pub now: u64,
    pub traffic: &'a mut Traffic,
}

impl Link {
    pub fn new(device: Device) -> Self {
        Self { device, socket: None, tls: None, rest: Vec::new(), is_dirty: false, wants_out: false, armed: u64::MAX }
    }

    /// Takes a socket that is connecting and prepares the login.
    pub fn connected_by(&mut self, socket: Socket, run: &Run) -> io::Result<()> {
        self.tls = match &run.tls {
            None => None,
            Some(tls) => {
                let connection = ClientConnection::new(Arc::clone(&tls.config), tls.name.clone());
                let mut connection = connection.map_err(io::Error::other)?;
                connection.set_buffer_limit(None);
                Some(Box::new(connection))
            }
        };
        self.socket = Some(socket);
        self.rest = Vec::new();
        // epoll is asked for the end of the connecting, which makes the link write.
        self.wants_out = true;
        self.device.connect(run);
        Ok(())
    }

    /// Gives the socket up; what the kernel has taken of the output is still sent.
    pub fn disconnect(&mut self) {
        self.socket = None;
        self.tls = None;
        self.rest = Vec::new();
        self.wants_out = false;
        self.device.disconnected();
    }

    pub fn has_output(&self) -> bool {
        !self.device.out.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    // ------------------------------------------------------------ reading

    /// Reads once. A connection that is over, for whatever reason, is given up with one `Failed`.
    pub fn read(&mut self, reading: Reading, events: &mut Vec<Event>) {
        let Reading { run, buffer, now, traffic } = reading;
        let Some(mut socket) = self.socket.as_ref() else { return };
        traffic.calls += 1;
        let read = match socket.read(buffer) {
            Ok(0) => Err("the server ended the connection".into()),
            Ok(read) => Ok(read),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(error) => Err(format!("the connection broke: {error}").into_boxed_str()),
        };
        let fed = read.and_then(|read| {
            traffic.bytes_in += read as u64;
            self.take(run, &buffer[..read], now, events).map_err(|error| told(&error).into())
        });
        let has_failed = |events: &[Event]| matches!(events.last(), Some(Event::Failed(_)));
        if let Err(why) = fed {
            events.push(Event::Failed(why));
        }
        if has_failed(events) {
            self.disconnect();
        }
    }

    fn take(&mut self, run: &Run, bytes: &[u8], now: u64, events: &mut Vec<Event>) -> Result<(), rustls::Error> {
        let Some(mut tls) = self.tls.take() else {
            self.feed(run, bytes, now, events);
            return Ok(());
        };
        let mut bytes = bytes;
        let mut plain = [0; PLAIN_BYTES];
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes).expect("reading from memory does not fail");
            tls.process_new_packets()?;
            while let Ok(read @ 1..) = tls.reader().read(&mut plain) {
                self.feed(run, &plain[..read], now, events);
            }
        }
        self.tls = Some(tls);
        Ok(())
    }

    fn feed(&mut self, run: &Run, bytes: &[u8], now: u64, events: &mut Vec<Event>) {
        if self.rest.is_empty() {
            let used = self.device.feed(run, bytes, now, events);
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            self.rest.extend_from_slice(bytes);
            let used = self.device.feed(run, &self.rest, now, events);
            self.rest.drain(..used);
        }
    }

    // ------------------------------------------------------------ writing

    /// Writes as much as the socket takes. An error shows again when the link is read.
    pub fn write(&mut self, now: u64, traffic: &mut Traffic) {
        let Some(mut socket) = self.socket.as_ref() else { return };
        self.device.before_write(now);
        let mut is_blocked = false;
        if let Some(tls) = &mut self.tls {
            tls.writer().write_all(&self.device.out).expect("writing to memory does not fail");
            self.device.out.clear();
            while tls.wants_write() && !is_blocked {
                let written = tls.write_tls(&mut socket);
                is_blocked = count(written, traffic).is_none_or(|written| written == 0);
            }
        }
        while !self.device.out.is_empty() && !is_blocked {
            match count(socket.write(&self.device.out), traffic) {
                Some(written) if written == self.device.out.len() => self.device.out.clear(),
                Some(written) => self.device.out.advance(written),
                None => is_blocked = true,
            }
        }
        self.wants_out = is_blocked;
    }
}

/// None: the socket takes nothing now.
fn count(written: io::Result<usize>, traffic: &mut Traffic) -> Option<usize> {
    traffic.calls += 1;
    let written = written.ok()?;
    traffic.bytes_out += written as u64;
    Some(written)
}

fn told(error: &rustls::Error) -> String {
    CertificateProblem::of(error).map_or_else(|| format!("TLS: {error}"), |problem| problem.to_string())
}
