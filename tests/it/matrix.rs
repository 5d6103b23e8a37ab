//! Who may do what: every operation of a group times every kind of person, in a group below the fan-out threshold and in
//! one above it; and what is left to somebody who is blocked. The tables say what docs/protocol.md says.

use hongyan_proto::{
    frame::Frame,
    wire::{
        self, FailureCode, JoinPolicy, NackCode, Role, act::What, contact_act, request::Op, response::Result as Answer,
    },
};

use crate::{server::TestServer, wire::WireClient};

/// The columns of the table. The first four are invited; then `former` is removed and `banned` is banned. `pending` has
/// asked to join, `chief` is an admin of another group.
const PEOPLE: [&str; 8] = ["owner", "admin", "member", "former", "banned", "pending", "stranger", "chief"];

/// What a person asks for, given the group, its link, and a message of the owner's that was written last.
enum Ask {
    Act(fn(&Stage) -> What),
    Post(wire::Extras),
    Request(fn(&Stage) -> Op),
    /// To oneself.
    Forward,
}

/// A group in which everybody has their place.
struct Stage {
    group: String,
    link: String,
    cseq: u64,
}

pub struct Person {
    pub client: WireClient,
    uid: String,
    send_no: u64,
    has_heard_typing: bool,
}

impl Person {
    pub fn new(server: &TestServer, uid: &str) -> Self {
        let (client, _) = WireClient::login_as(server, uid, "phone");
        Self { client, uid: uid.into(), send_no: 0, has_heard_typing: false }
    }

    pub fn send(&mut self, send: wire::Send) -> Result<wire::SendAck, NackCode> {
        self.send_no += 1;
        self.client.send(Frame::Send(wire::Send { send_no: self.send_no, ..send }));
        loop {
            match self.client.expect() {
                Frame::SendAck(ack) if ack.send_no == self.send_no => return Ok(ack),
                Frame::SendNack(nack) if nack.send_no == self.send_no => return Err(nack.code()),
                other => self.on_aside(other),
            }
        }
    }

    /// What is pushed is acked, so that the answer behind it comes.
    fn on_aside(&mut self, frame: Frame) {
        match frame {
            Frame::Push(entry) if entry.useq > 0 => self.client.ack(entry.useq),
            Frame::Signal(signal) => self.has_heard_typing |= signal.typing,
            Frame::Push(_) | Frame::Credit(_) | Frame::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }

    pub fn act(&mut self, to: &str, what: What) -> Result<wire::SendAck, NackCode> {
        let act = Some(Box::new(wire::Act { what: Some(what) }));
        self.send(wire::Send { to: to.into(), act, ..Default::default() })
    }

    pub fn post(&mut self, to: &str) -> Result<wire::SendAck, NackCode> {
        self.send(wire::Send { to: to.into(), content: "hello".into(), ..Default::default() })
    }

    pub fn request(&mut self, op: Op) -> Answer {
        self.client.send(Frame::Request(wire::Request { id: 1, op: Some(op) }));
        loop {
            match self.client.expect() {
                Frame::Response(wire::Response { id: 1, result: Some(result) }) => return result,
                other => self.on_aside(other),
            }
        }
    }
}

impl Person {
    /// Says that it is writing, and waits until the server has passed that on: a SEND behind it is answered later.
    pub fn type_to(&mut self, to: &str) {
        self.client.send(Frame::Signal(wire::Signal { to: to.into(), typing: true, ..Default::default() }));
        self.hears_typing();
    }

    /// Whether somebody was writing to it since the last look. What waits for it leaves before a later SEND's answer.
    pub fn hears_typing(&mut self) -> bool {
        let oneself = self.uid.clone();
        self.post(&oneself).unwrap();
        std::mem::take(&mut self.has_heard_typing)
    }
}

struct Theatre {
    _server: TestServer,
    people: Vec<Person>,
}

impl Theatre {
    /// `threshold`: members up to which a group writes into everybody's log.
    fn open(threshold: usize) -> Self {
        let server = TestServer::with(&format!("[groups]\nfan_out_threshold = {threshold}\n"));
        let mut people: Vec<_> = PEOPLE.iter().map(|uid| Person::new(&server, uid)).collect();
        people.push(Person::new(&server, "guest"));
        let made = people[7].act("", What::GroupCreate(wire::GroupCreate::default())).unwrap();
        assert!(made.group > 0);
        Self { _server: server, people }
    }

    fn stage(&mut self) -> Stage {
        let owner = &mut self.people[0];
        let settings = Some(wire::GroupSettings { join: JoinPolicy::JoinRequest.into(), ..Default::default() });
        let members = PEOPLE[1..5].iter().map(|uid| (*uid).into()).collect();
        let made = owner.act("", What::GroupCreate(wire::GroupCreate { settings, members })).unwrap();
        let group = format!("#{}", made.group);
        owner.act(&group, role("admin", Role::Admin)).unwrap();
        owner.act(&group, remove("former", false)).unwrap();
        owner.act(&group, remove("banned", true)).unwrap();
        owner.act(&group, What::GroupLink(wire::GroupLink { revoke: false })).unwrap();
        let Answer::Group(found) = owner.request(Op::Group(wire::GroupRequest { group: group.clone() })) else {
            panic!("the owner asks in vain")
        };
        let join = What::GroupJoin(wire::GroupJoin { link: found.link.clone() });
        self.people[5].act(&group, join).unwrap();
        let cseq = self.people[0].post(&group).unwrap().cseq;
        Stage { group, link: found.link, cseq }
    }

    /// y: it is done. F: forbidden. N: it is as if there were no such thing.
    fn ask(&mut self, who: usize, ask: &Ask, stage: &Stage) -> char {
        let person = &mut self.people[who];
        let answer = match ask {
            Ask::Act(act) => person.act(&stage.group, act(stage)),
            Ask::Post(extras) => {
                let (content, extras) = ("hello".into(), Some(Box::new(extras.clone())));
                person.send(wire::Send { to: stage.group.clone(), content, extras, ..Default::default() })
            }
            Ask::Forward => {
                let forward = wire::Forward { conversation: stage.group.clone(), cseq: stage.cseq };
                person.act(PEOPLE[who], What::Forward(forward))
            }
            Ask::Request(op) => return seen(person.request(op(stage)), stage),
        };
        match answer {
            Ok(_) => 'y',
            Err(NackCode::NackForbidden) => 'F',
            Err(NackCode::NackNotFound) => 'N',
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// Who is answered sees the newest message, or nothing of it: '0'.
fn seen(answer: Answer, stage: &Stage) -> char {
    match answer {
        Answer::History(page) | Answer::Messages(page) => {
            let newest = page.entries.iter().filter_map(|entry| match &entry.item {
                Some(wire::entry::Item::Message(message)) => Some(message.cseq),
                _ => None,
            });
            if newest.max() == Some(stage.cseq) { 'y' } else { '0' }
        }
        Answer::Failure(failure) => match failure.code() {
            FailureCode::FailureForbidden => 'F',
            FailureCode::FailureNotFound => 'N',
            other => panic!("{other:?}"),
        },
        _ => 'y',
    }
}

fn role(uid: &str, role: Role) -> What {
    What::GroupRole(wire::GroupRole { uid: uid.into(), role: role.into() })
}

fn remove(uid: &str, ban: bool) -> What {
    What::GroupRemove(wire::GroupRemove { uid: uid.into(), ban })
}

fn members(stage: &Stage, role: Role) -> Op {
    Op::Members(wire::MembersRequest { group: stage.group.clone(), role: role.into(), ..Default::default() })
}

#[rustfmt::skip]
fn table() -> Vec<(&'static str, &'static str, Ask)> {
    let to_all = || wire::Extras { mention_all: true, ..Default::default() };
    vec![
        //                    owner ... chief
        ("post",              "yyyFFNNN", Ask::Post(wire::Extras::default())),
        ("mention all",       "yyFFFNNN", Ask::Post(to_all())),
        ("edit the owner's",  "yFFFFNNN", Ask::Act(|at| What::Edit(wire::Edit { cseq: at.cseq, content: "x".into(), ..Default::default() }))),
        ("recall the owner's","yyFFFNNN", Ask::Act(|at| What::Recall(wire::Recall { cseq: at.cseq, ..Default::default() }))),
        ("react",             "yyyFFNNN", Ask::Act(|at| What::React(wire::React { cseq: at.cseq, reaction: "+".into(), ..Default::default() }))),
        ("pin",               "yyFFFNNN", Ask::Act(|at| What::Pin(wire::Pin { cseq: at.cseq, unpin: false }))),
        ("disappear",         "yyFFFNNN", Ask::Act(|_| What::Disappear(wire::Disappear { after_s: 60 }))),
        ("forward into",      "yyyFFNNN", Ask::Act(|at| What::Forward(wire::Forward { conversation: at.group.clone(), cseq: at.cseq }))),
        ("forward out of",    "yyyNNNNN", Ask::Forward),
        ("rename",            "yyFFFNNN", Ask::Act(|_| What::GroupUpdate(wire::GroupUpdate { title: Some("x".into()), ..Default::default() }))),
        ("who may post",      "yyFFFNNN", Ask::Act(|_| What::GroupUpdate(wire::GroupUpdate { may_post: Some(2), ..Default::default() }))),
        ("invite",            "yyFFFNNN", Ask::Act(|_| What::GroupInvite(wire::GroupInvite { uids: vec!["guest".into()] }))),
        ("join by number",    "yyyNNNNN", Ask::Act(|_| What::GroupJoin(wire::GroupJoin::default()))),
        ("join by link",      "yyyyNyyy", Ask::Act(|at| What::GroupJoin(wire::GroupJoin { link: at.link.clone() }))),
        ("leave",             "FyyFFNNN", Ask::Act(|_| What::GroupLeave(wire::GroupLeave {}))),
        ("remove a member",   "yyFFFNNN", Ask::Act(|_| remove("member", false))),
        ("remove an admin",   "yFFFFNNN", Ask::Act(|_| remove("admin", false))),
        ("remove the owner",  "FFFFFNNN", Ask::Act(|_| remove("owner", false))),
        ("ban",               "yyFFFNNN", Ask::Act(|_| remove("member", true))),
        ("unban",             "yyFFFNNN", Ask::Act(|_| What::GroupUnban(wire::GroupUnban { uid: "banned".into() }))),
        ("make an admin",     "yFFFFNNN", Ask::Act(|_| role("member", Role::Admin))),
        ("make no admin",     "yFFFFNNN", Ask::Act(|_| role("admin", Role::Member))),
        ("transfer",          "yFFFFNNN", Ask::Act(|_| What::GroupTransfer(wire::GroupTransfer { uid: "member".into() }))),
        ("dissolve",          "yFFFFNNN", Ask::Act(|_| What::GroupDissolve(wire::GroupDissolve {}))),
        ("admit",             "yyFFFNNN", Ask::Act(|_| What::GroupAdmit(wire::GroupAdmit { uid: "pending".into(), refuse: false }))),
        ("refuse",            "yyFFFNNN", Ask::Act(|_| What::GroupAdmit(wire::GroupAdmit { uid: "pending".into(), refuse: true }))),
        ("new link",          "yyFFFNNN", Ask::Act(|_| What::GroupLink(wire::GroupLink { revoke: false }))),
        ("read",              "yyyyyNNN", Ask::Act(|at| What::Read(wire::Read { cseq: at.cseq }))),
        ("arrange",           "yyyyyNNN", Ask::Act(|_| What::Arrange(wire::Arrange { pinned: Some(true), ..Default::default() }))),
        ("history",           "yyy00NNN", Ask::Request(|at| Op::History(wire::HistoryRequest { conversation: at.group.clone(), ..Default::default() }))),
        ("messages",          "yyy00NNN", Ask::Request(|at| Op::Messages(wire::MessagesRequest { conversation: at.group.clone(), cseqs: vec![at.cseq] }))),
        ("the row",           "yyyyyNNN", Ask::Request(|at| Op::Conversations(wire::ConversationsRequest { conversation: at.group.clone(), ..Default::default() }))),
        ("group",             "yyyFFNNN", Ask::Request(|at| Op::Group(wire::GroupRequest { group: at.group.clone() }))),
        ("members",           "yyyFFNNN", Ask::Request(|at| members(at, Role::None))),
        ("who waits",         "yyFFFNNN", Ask::Request(|at| members(at, Role::Pending))),
        ("who is banned",     "yyFFFNNN", Ask::Request(|at| members(at, Role::Banned))),
        ("status",            "yNNNNNNN", Ask::Request(|at| Op::Status(wire::StatusRequest { which: Some(
            wire::status_request::Which::Message(wire::MessageId { conversation: at.group.clone(), cseq: at.cseq })) }))),
    ]
}

fn check(threshold: usize) {
    let mut theatre = Theatre::open(threshold);
    let mut stage = theatre.stage();
    for (name, expected, ask) in table() {
        let mut found = String::new();
        for who in 0..PEOPLE.len() {
            let answer = theatre.ask(who, &ask, &stage);
            found.push(answer);
            if answer == 'y' && !matches!(ask, Ask::Request(_)) {
                stage = theatre.stage();
            }
        }
        assert_eq!(found, expected, "{name}, for {PEOPLE:?}");
    }
}

#[test]
fn everybody_may_do_in_a_group_what_their_part_in_it_allows() {
    check(500);
}

#[test]
fn above_the_fan_out_threshold_the_same_is_allowed() {
    check(2);
}

#[test]
fn only_members_are_heard_writing_in_a_group_and_none_in_a_large_one() {
    for (threshold, expected) in [(500, "yyy00000"), (2, "00000000")] {
        let mut theatre = Theatre::open(threshold);
        let stage = theatre.stage();
        let mut found = String::new();
        for who in 0..PEOPLE.len() {
            theatre.people[who].type_to(&stage.group);
            let listener = if who == 2 { 1 } else { 2 };
            found.push(if theatre.people[listener].hears_typing() { 'y' } else { '0' });
        }
        assert_eq!(found, expected, "for {PEOPLE:?}");
    }
}

/// What `former` may do with `owner`, who has blocked them, or lets only contacts write.
#[test]
fn who_is_blocked_can_only_take_back_and_read() {
    let block = |what: contact_act::What| What::Contact(wire::ContactAct { what: what.into() });
    let only_contacts =
        wire::Privacy { write: wire::Audience::Contacts.into(), add_to_groups: 2, ..Default::default() };
    let closings: [(&str, What); 2] = [("former", block(contact_act::What::Block)), ("", What::Privacy(only_contacts))];
    for (to, closing) in closings {
        let mut theatre = Theatre::open(500);
        let cseq = theatre.people[3].post("owner").unwrap().cseq;
        let theirs = theatre.people[0].post("former").unwrap().cseq;
        theatre.people[0].act(to, closing).unwrap();
        let blocked = &mut theatre.people[3];
        let forbidden = Some(NackCode::NackForbidden);
        assert_eq!(blocked.post("owner").err(), forbidden);
        for (refused, what) in [
            (forbidden, What::Edit(wire::Edit { cseq, content: "x".into(), ..Default::default() })),
            (forbidden, What::React(wire::React { cseq: theirs, reaction: "+".into(), ..Default::default() })),
            (forbidden, What::Pin(wire::Pin { cseq, unpin: false })),
            (forbidden, What::Disappear(wire::Disappear { after_s: 60 })),
            (forbidden, What::Forward(wire::Forward { conversation: "owner".into(), cseq })),
            (forbidden, What::Recall(wire::Recall { cseq: theirs, ..Default::default() })),
            (Some(NackCode::NackInvalid), What::GroupLeave(wire::GroupLeave {})),
            (None, What::Recall(wire::Recall { cseq, ..Default::default() })),
            (None, What::Read(wire::Read { cseq: theirs })),
            (None, What::Arrange(wire::Arrange { archived: Some(true), ..Default::default() })),
            (None, block(contact_act::What::Ask)),
        ] {
            assert_eq!(blocked.act("owner", what.clone()).err(), refused, "{what:?}");
        }
        let create = wire::GroupCreate { members: vec!["owner".into(), "member".into()], ..Default::default() };
        let made = blocked.act("", What::GroupCreate(create)).unwrap();
        let group = format!("#{}", made.group);
        let invite = What::GroupInvite(wire::GroupInvite { uids: vec!["owner".into()] });
        assert_eq!(blocked.act(&group, invite).err(), Some(NackCode::NackNotFound));
        let Answer::Group(found) = blocked.request(Op::Group(wire::GroupRequest { group })) else { panic!() };
        assert_eq!(found.members, 2, "who does not let them add is left out");
    }
}
