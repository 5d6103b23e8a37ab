//! A group of a thousand members who are all online: each gets every message once, in one order, while the group grows
//! across the fan-out threshold.

use hongyan_proto::{
    frame::Frame,
    wire::{self, act::What, entry::Item, request::Op, response::Result as Answer},
};

use crate::{server::TestServer, wire::WireClient};

const MEMBERS: usize = 1000;
/// Messages before the group grows, and as many after.
const MESSAGES: usize = 100;

/// A member, as docs/protocol.md asks a client to be.
struct Member {
    client: WireClient,
    /// Everything up to here has been shown.
    place: u64,
    /// How far the group is known to have grown.
    ahead: u64,
    /// The log brings no more of it.
    is_large: bool,
    asked: bool,
    shown: Vec<(u64, String)>,
    fetched: usize,
}

impl Member {
    fn show(&mut self, message: &wire::Message) {
        assert_eq!(message.cseq, self.place + 1, "in order, without a hole");
        self.place = message.cseq;
        if message.act.is_none() {
            self.shown.push((message.cseq, String::from_utf8(message.content.to_vec()).unwrap()));
        }
        let what = message.act.as_ref().and_then(|act| act.what.as_ref());
        self.is_large |= matches!(what, Some(What::GroupGrown(_)));
    }

    fn on_entry(&mut self, entry: wire::Entry) {
        match entry.item {
            Some(Item::Message(message)) if message.cseq <= self.place => {}
            Some(Item::Message(message)) if message.cseq == self.place + 1 => self.show(&message),
            Some(Item::Message(message)) => {
                assert_eq!(entry.useq, 0, "the log has no holes");
                self.ahead = self.ahead.max(message.cseq);
            }
            Some(Item::Hint(hint)) => self.ahead = self.ahead.max(hint.head_cseq),
            Some(Item::Conversation(row)) if self.place == 0 => {
                self.place = row.first_cseq.saturating_sub(1);
                self.is_large = row.first_cseq > 1;
            }
            _ => {}
        }
        if entry.useq > 0 {
            self.client.ack(entry.useq);
        }
    }

    /// Reads until so many messages have been shown.
    fn read(&mut self, group: &str, messages: usize) {
        while self.shown.len() < messages {
            if self.is_large && self.ahead > self.place && !self.asked {
                let request = wire::HistoryRequest {
                    conversation: group.into(),
                    after: self.place,
                    forward: true,
                    limit: 200,
                    ..Default::default()
                };
                self.client.send(Frame::Request(wire::Request { id: 1, op: Some(Op::History(request)) }));
                self.asked = true;
            }
            match self.client.expect() {
                Frame::Push(entry) => self.on_entry(entry),
                Frame::Response(wire::Response { result: Some(Answer::History(page)), .. }) => {
                    self.asked = false;
                    for entry in page.entries {
                        let Some(Item::Message(message)) = entry.item else { panic!("history holds messages") };
                        if message.cseq > self.place {
                            self.fetched += 1;
                            self.show(&message);
                        }
                    }
                }
                Frame::Ping(_) | Frame::Credit(_) | Frame::Signal(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

struct Owner {
    client: WireClient,
    send_no: u64,
    acked: u64,
}

impl Owner {
    fn send(&mut self, send: wire::Send) -> wire::SendAck {
        self.send_no += 1;
        self.client.send(Frame::Send(wire::Send { send_no: self.send_no, ..send }));
        loop {
            match self.client.expect() {
                Frame::SendAck(ack) => {
                    self.client.ack(ack.useq.max(self.acked));
                    return ack;
                }
                Frame::Push(entry) if entry.useq > 0 => {
                    self.acked = entry.useq;
                    self.client.ack(entry.useq);
                }
                Frame::Push(_) | Frame::Credit(_) | Frame::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn act(&mut self, to: &str, what: What) -> wire::SendAck {
        let act = Some(Box::new(wire::Act { what: Some(what) }));
        self.send(wire::Send { to: to.into(), act, ..Default::default() })
    }

    fn post(&mut self, to: &str, numbers: std::ops::Range<usize>) -> Vec<(u64, String)> {
        let mut posted = Vec::new();
        for number in numbers {
            let text = format!("message {number}");
            let send = wire::Send { to: to.into(), content: text.clone().into(), ..Default::default() };
            posted.push((self.send(send).cseq, text));
        }
        posted
    }
}

#[test]
#[ignore = "needs 4,000 file descriptors: ulimit -n 8192; cargo test --test it crowd -- --ignored --nocapture"]
fn a_thousand_members_get_every_message_once_in_one_order() {
    let server = TestServer::start();
    let mut members: Vec<_> = (0..MEMBERS - 1)
        .map(|number| {
            let (client, _) = WireClient::login_as(&server, &format!("m{number}"), "phone");
            let (shown, fetched) = (Vec::new(), 0);
            Member { client, place: 0, ahead: 0, is_large: false, asked: false, shown, fetched }
        })
        .collect();
    let (client, _) = WireClient::login_as(&server, "owner", "phone");
    let mut owner = Owner { client, send_no: 0, acked: 0 };
    let half = MEMBERS / 2 - 1;
    let uids = |range: std::ops::Range<usize>| range.map(|number| format!("m{number}")).collect();
    let create = wire::GroupCreate { members: uids(0..half), settings: None };
    let group = format!("#{}", owner.act("", What::GroupCreate(create)).group);
    let mut posted = owner.post(&group, 0..MESSAGES);
    owner.act(&group, What::GroupInvite(wire::GroupInvite { uids: uids(half..MEMBERS - 1) }));
    let rows = server.metric("hongyan_commit_rows_total");
    posted.extend(owner.post(&group, MESSAGES..2 * MESSAGES));
    let rows = server.metric("hongyan_commit_rows_total") - rows;
    let mut fetched = 0;
    for (number, member) in members.iter_mut().enumerate() {
        let expected = if number < half { &posted[..] } else { &posted[MESSAGES..] };
        member.read(&group, expected.len());
        assert_eq!(member.shown, expected, "of m{number}");
        fetched += member.fetched;
    }
    println!(
        "{MEMBERS} members: {MESSAGES} messages above the threshold wrote {rows} rows; {fetched} of {} came by history",
        MESSAGES * (MEMBERS - 1)
    );
}
