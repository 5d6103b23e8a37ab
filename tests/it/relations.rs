//! What two people let each other do and see, by what there is between them and what the one has said about it.

use hongyan_proto::wire::{self, Audience, act::What, contact_act, request::Op, response::Result as Answer};

use crate::{matrix::Person, server::TestServer};

/// Who does something to `owner`: they have talked; are contacts; nothing; she has blocked them; they have blocked her.
const PEOPLE: [&str; 5] = ["talker", "contact", "stranger", "blocked", "blocker"];

/// Who of them is let, as she lets these people.
type Expected = [(Audience, &'static str); 3];
type Deed = fn(&mut Person, &mut Person) -> bool;

fn sees_online(person: &mut Person, _: &mut Person) -> bool {
    let request = wire::PresenceRequest { uids: vec!["owner".into()], replace: true };
    let Answer::Presence(list) = person.request(Op::Presence(request)) else { panic!() };
    list.presence[0].online
}

fn is_heard_writing(person: &mut Person, owner: &mut Person) -> bool {
    person.type_to("owner");
    owner.hears_typing()
}

fn writes(person: &mut Person, _: &mut Person) -> bool {
    person.post("owner").is_ok()
}

fn adds_to_a_group(person: &mut Person, _: &mut Person) -> bool {
    let create = wire::GroupCreate { members: vec!["owner".into()], settings: None };
    let made = person.act("", What::GroupCreate(create)).unwrap();
    let group = format!("#{}", made.group);
    let Answer::Group(group) = person.request(Op::Group(wire::GroupRequest { group })) else { panic!() };
    group.members == 2
}

fn does(person: &mut Person, to: &str, what: contact_act::What) {
    person.act(to, What::Contact(wire::ContactAct { what: what.into() })).unwrap();
}

#[test]
fn people_do_to_somebody_what_she_lets_them() {
    //                                             talker contact stranger blocked blocker
    let table: [(&str, Expected, Deed); 4] = [
        (
            "see that she is online",
            [(Audience::Everybody, "yy000"), (Audience::Contacts, "0y000"), (Audience::Nobody, "00000")],
            sees_online,
        ),
        (
            "be heard writing",
            [(Audience::Everybody, "yyy0y"), (Audience::Contacts, "0y000"), (Audience::Nobody, "00000")],
            is_heard_writing,
        ),
        (
            "add her to a group",
            [(Audience::Everybody, "yyy0y"), (Audience::Contacts, "0y000"), (Audience::Nobody, "00000")],
            adds_to_a_group,
        ),
        (
            "write to her",
            [(Audience::Nobody, "00000"), (Audience::Contacts, "0y000"), (Audience::Everybody, "yyy0y")],
            writes,
        ),
    ];
    let server = TestServer::start();
    let mut owner = Person::new(&server, "owner");
    let mut people = PEOPLE.map(|uid| Person::new(&server, uid));
    for who in [0, 3, 4] {
        people[who].post("owner").unwrap();
    }
    does(&mut people[1], "owner", contact_act::What::Ask);
    does(&mut owner, "contact", contact_act::What::Ask);
    does(&mut owner, "blocked", contact_act::What::Block);
    does(&mut people[4], "owner", contact_act::What::Block);
    for (what, rows, deed) in table {
        for (audience, expected) in rows {
            let who = audience.into();
            let privacy = wire::Privacy { write: who, add_to_groups: who, presence: who, no_receipts: None };
            owner.act("", What::Privacy(privacy)).unwrap();
            let found: String =
                people.iter_mut().map(|person| if deed(person, &mut owner) { 'y' } else { '0' }).collect();
            assert_eq!(found, expected, "{what}, {audience:?}, for {PEOPLE:?}");
        }
    }
    server.assert_healthy();
}
