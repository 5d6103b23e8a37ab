//! Questions to the server that wait for an answer, across reconnects: requests and pings.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use hongyan_proto::{
    Uid,
    client::Connection,
    wire::{self, request::Op},
};
use tokio::sync::oneshot;

/// Who asked.
pub(crate) enum Asker {
    Caller(oneshot::Sender<wire::response::Result>),
    /// The loading of the list, and the reload after a reset, which ask one thing at a time.
    Reload,
    /// The conversation list, for one line of it.
    Row,
    /// What is missing of a large group.
    Gap,
    /// The people that are followed, on a new connection.
    Presence,
}

struct Request {
    op: Op,
    asker: Asker,
    /// It was written to the connection that is active.
    sent: bool,
}

struct Ping {
    reply: oneshot::Sender<Duration>,
    /// Which of the connection's PINGs it is, and when it was written.
    sent: Option<(u64, Instant)>,
}

#[derive(Default)]
pub(crate) struct Requests {
    last_id: u64,
    open: BTreeMap<u64, Request>,
    pings: Vec<Ping>,
    /// Whose presence the application wants to know.
    followed: BTreeSet<String>,
}

/// People whose presence a connection may follow.
const MAX_FOLLOWED: usize = 500;
/// Of them in one request.
const FOLLOWED_AT_ONCE: usize = 100;

impl Requests {
    pub fn ask(&mut self, op: Op, asker: Asker) {
        // Whoever ran into the timeout waits no more.
        self.open.retain(|_, request| !matches!(&request.asker, Asker::Caller(reply) if reply.is_closed()));
        self.last_id += 1;
        self.open.insert(self.last_id, Request { op, asker, sent: false });
    }

    pub fn ping(&mut self, reply: oneshot::Sender<Duration>) {
        self.pings.retain(|ping| !ping.reply.is_closed());
        self.pings.push(Ping { reply, sent: None });
    }

    /// These are asked for anew on every connection. Beyond the bound nobody is added.
    pub fn follow(&mut self, uids: &[Uid], replace: bool) {
        if replace {
            self.followed.clear();
        }
        let room = MAX_FOLLOWED.saturating_sub(self.followed.len());
        self.followed.extend(uids.iter().take(room).map(Uid::to_string));
    }

    /// Another connection has taken over: everything that callers wait for is asked again. What the driver itself has
    /// asked, it asks anew where it still needs it.
    pub fn on_new_connection(&mut self) {
        self.open.retain(|_, request| matches!(request.asker, Asker::Caller(_)));
        self.open.values_mut().for_each(|request| request.sent = false);
        self.pings.iter_mut().for_each(|ping| ping.sent = None);
        let followed: Vec<_> = self.followed.iter().cloned().collect();
        for uids in followed.chunks(FOLLOWED_AT_ONCE) {
            self.ask(Op::Presence(wire::PresenceRequest { uids: uids.to_vec(), replace: false }), Asker::Presence);
        }
    }

    /// A reset: what the driver itself has asked is void.
    pub fn forget_own(&mut self) {
        self.open.retain(|_, request| matches!(request.asker, Asker::Caller(_) | Asker::Presence));
    }

    /// Writes what has not been written to this connection.
    pub fn write(&mut self, connection: &mut Connection, now: Instant) {
        for (id, request) in self.open.iter_mut().filter(|(_, request)| !request.sent) {
            connection.request(&wire::Request { id: *id, op: Some(request.op.clone()) });
            request.sent = true;
        }
        for ping in self.pings.iter_mut().filter(|ping| ping.sent.is_none()) {
            connection.ping(now);
            ping.sent = Some((connection.pings(), now));
        }
    }

    /// Answers a caller, or returns what the driver itself asked for.
    pub fn on_response(&mut self, response: wire::Response) -> Option<(Asker, wire::response::Result)> {
        let request = self.open.remove(&response.id)?;
        // An answer of a kind that is not known here is none.
        let unknown = || {
            let reason = "the answer is of an unknown kind".into();
            wire::response::Result::Failure(wire::Failure { code: wire::FailureCode::FailureUnknown.into(), reason })
        };
        let result = response.result.unwrap_or_else(unknown);
        match request.asker {
            Asker::Caller(reply) => {
                let _ = reply.send(result);
                None
            }
            asker => Some((asker, result)),
        }
    }

    /// Tells those whose PING was answered how long that took.
    pub fn on_pongs(&mut self, connection: &Connection, now: Instant) {
        let pongs = connection.pongs();
        let answered = |ping: &mut Ping| ping.sent.is_some_and(|(number, _)| number <= pongs);
        for Ping { reply, sent } in self.pings.extract_if(.., answered) {
            let since = sent.map_or(now, |(_, since)| since);
            let _ = reply.send(now.saturating_duration_since(since));
        }
    }
}
