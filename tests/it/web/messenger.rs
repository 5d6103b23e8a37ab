//! What people do in conversations, and what they ask, by HTTP alone: every act and every request of the protocol.

use std::{cell::RefCell, collections::BTreeSet};

use serde_json::{Value, json};

use super::{WebDevice, http::Request, texts};
use crate::server::TestServer;

/// The acts and requests that were tried, to be compared with those there are.
#[derive(Default)]
struct Tried {
    acts: RefCell<BTreeSet<String>>,
    requests: RefCell<BTreeSet<String>>,
}

impl Tried {
    /// Does an act, which is taken.
    fn act(&self, who: &WebDevice, to: &str, act: Value) -> Value {
        self.acts.borrow_mut().extend(names(&act));
        who.post("/v1/messages", json!({ "to": to, "act": act })).ok()
    }

    /// Asks in both ways, which answer alike.
    fn ask(&self, who: &WebDevice, target: &str, request: Value) -> Value {
        let found = who.get(target).ok();
        assert_eq!(found, self.ask_by_post(who, request), "{target}");
        found
    }

    fn ask_by_post(&self, who: &WebDevice, request: Value) -> Value {
        self.requests.borrow_mut().extend(names(&request));
        let answer = who.post("/v1/request", request).ok();
        answer.as_object().unwrap().values().next().unwrap().clone()
    }
}

fn names(object: &Value) -> Vec<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

fn uids(page: &Value) -> Vec<&str> {
    page["members"].as_array().unwrap().iter().map(|member| member["uid"].as_str().unwrap()).collect()
}

#[test]
fn every_act_and_every_request_can_be_made_by_http() {
    let server = TestServer::start();
    let tried = Tried::default();
    let [alice, bob, carol, dave] = ["alice", "bob", "carol", "dave"].map(|uid| WebDevice::login(&server, uid, "web"));
    messages(&tried, &alice, &bob);
    one_s_own(&tried, &alice, &bob);
    groups(&tried, [&alice, &bob, &carol, &dave]);

    let document = Request::get("/v1/openapi.json").send(server.http()).ok();
    let described = |schema: &str| -> BTreeSet<String> {
        names(&document["components"]["schemas"][schema]["properties"]).into_iter().collect()
    };
    let (mut acts, mut requests) = (described("Act"), described("Request"));
    assert!(acts.remove("groupGrown"), "the server does it by itself");
    assert!(requests.remove("id"));
    assert_eq!(*tried.acts.borrow(), acts);
    assert_eq!(*tried.requests.borrow(), requests);
    server.assert_healthy();
}

fn messages(tried: &Tried, alice: &WebDevice, bob: &WebDevice) {
    alice.say("bob", "dinner at eight?");
    let answer = json!({ "to": "bob", "text": "or nine", "extras": { "replyTo": "1", "mentions": ["bob"] } });
    alice.post("/v1/messages", answer).ok();
    alice.say("bob", "oh no");
    let edited = tried.act(alice, "bob", json!({ "edit": { "cseq": "2", "text": "or half past" } }));
    assert_eq!(edited["cseq"], "4");
    tried.act(alice, "bob", json!({ "recall": { "cseq": "3" } }));
    tried.act(bob, "alice", json!({ "react": { "cseq": "1", "reaction": "👍" } }));
    tried.act(bob, "alice", json!({ "pin": { "cseq": "1" } }));
    tried.act(bob, "alice", json!({ "disappear": { "afterS": 3600 } }));
    tried.act(bob, "bob", json!({ "forward": { "conversation": "alice", "cseq": "1" } }));
    tried.act(bob, "alice", json!({ "read": { "cseq": "8" } }));

    let page = tried.ask(bob, "/v1/conversations/alice/messages", json!({ "history": { "conversation": "alice" } }));
    assert_eq!(texts(&page["entries"]), ["dinner at eight?", "or half past"]);
    assert_eq!(page["entries"][2]["message"]["extras"]["gone"], "GONE_RECALLED");
    assert_eq!(page["reactions"][0]["mine"], "👍");
    let around = json!({ "history": { "conversation": "bob", "around": "2", "limit": 2 } });
    let around = tried.ask(alice, "/v1/conversations/bob/messages?around=2&limit=2", around);
    assert_eq!(texts(&around["entries"]), ["dinner at eight?", "or half past"]);
    let two = json!({ "messages": { "conversation": "bob", "cseqs": [1, 2] } });
    let two = tried.ask(alice, "/v1/conversations/bob/messages?cseqs=1,2", two);
    assert_eq!(two["entries"], around["entries"]);

    // Who has read it.
    let which = json!({ "status": { "message": { "conversation": "bob", "cseq": "1" } } });
    let status = tried.ask(alice, "/v1/conversations/bob/messages/1/status", which);
    assert_eq!((&status["read"], &status["to"][0]["uid"]), (&json!(1), &json!("bob")));
    let by_number = tried.ask(alice, "/v1/messages/1/status", json!({ "status": { "sendNo": "1" } }));
    assert_eq!(by_number, status);
    bob.get("/v1/conversations/alice/messages/1/status").expect_problem(404, "NOT_FOUND");

    let row = alice.get("/v1/conversations/bob").ok();
    assert_eq!(
        (&row["peerReadCseq"], &row["pins"], &row["disappearAfterS"]),
        (&json!("8"), &json!(["1"]), &json!(3600))
    );
    let list = tried.ask(alice, "/v1/conversations", json!({ "conversations": {} }));
    assert_eq!(list["conversations"], json!([row]));
    alice.get("/v1/conversations/nobody").expect_problem(404, "NOT_FOUND");
}

fn one_s_own(tried: &Tried, alice: &WebDevice, bob: &WebDevice) {
    tried.act(alice, "bob", json!({ "arrange": { "pinned": true, "draft": "aGk=" } }));
    let row = alice.get("/v1/conversations/bob").ok();
    assert_eq!((&row["pinned"], &row["draft"]), (&json!(true), &json!("aGk=")));
    tried.act(alice, "", json!({ "privacy": { "addToGroups": "CONTACTS", "noReceipts": true } }));
    let privacy = tried.ask(alice, "/v1/privacy", json!({ "privacy": {} }));
    assert_eq!((&privacy["addToGroups"], &privacy["noReceipts"]), (&json!("CONTACTS"), &json!(true)));
    tried.act(bob, "alice", json!({ "contact": { "what": "ASK" } }));
    let contacts = tried.ask(alice, "/v1/contacts", json!({ "contacts": {} }));
    assert_eq!(contacts["contacts"], json!([{ "uid": "bob", "askedByThem": true }]));
    let presence = alice.post("/v1/presence", json!({ "uids": ["bob"] })).ok();
    assert_eq!(presence["presence"][0]["online"], true);
    assert_eq!(presence, tried.ask_by_post(alice, json!({ "presence": { "uids": ["bob"] } })));
    let account = tried.ask(alice, "/v1/account", json!({ "account": {} }));
    assert_eq!(account["uid"], "alice");
}

fn groups(tried: &Tried, [alice, bob, carol, dave]: [&WebDevice; 4]) {
    let settings = json!({ "title": "Dinner", "join": "JOIN_REQUEST", "mayInvite": "ROLE_ADMIN" });
    let made = tried.act(bob, "", json!({ "groupCreate": { "settings": settings, "members": ["carol"] } }));
    let group = format!("#{}", made["group"].as_str().unwrap());
    let path = format!("/v1/conversations/%23{}", made["group"].as_str().unwrap());
    let on_it = |who: &WebDevice, act: Value| tried.act(who, &group, act);
    on_it(bob, json!({ "groupUpdate": { "description": "every Friday" } }));
    on_it(bob, json!({ "groupInvite": { "uids": ["dave"] } }));
    on_it(dave, json!({ "groupLeave": {} }));
    on_it(bob, json!({ "groupLink": {} }));
    let found = tried.ask(bob, &format!("{path}/group"), json!({ "group": { "group": group } }));
    assert_eq!((&found["settings"]["description"], &found["members"]), (&json!("every Friday"), &json!(2)));
    on_it(alice, json!({ "groupJoin": { "link": found["link"] } }));
    on_it(bob, json!({ "groupRole": { "uid": "carol", "role": "ROLE_ADMIN" } }));
    let waiting = json!({ "members": { "group": group, "role": "ROLE_PENDING" } });
    assert_eq!(uids(&tried.ask(carol, &format!("{path}/members?role=ROLE_PENDING"), waiting)), ["alice"]);
    on_it(carol, json!({ "groupAdmit": { "uid": "alice" } }));
    carol.say(&group, "who cooks?");
    on_it(bob, json!({ "groupRemove": { "uid": "alice", "ban": true } }));
    alice.get(&format!("{path}/members")).expect_problem(403, "FORBIDDEN");
    dave.get(&format!("{path}/group")).expect_problem(403, "FORBIDDEN");
    on_it(bob, json!({ "groupUnban": { "uid": "alice" } }));
    on_it(bob, json!({ "groupTransfer": { "uid": "carol" } }));
    let members = tried.ask(carol, &format!("{path}/members"), json!({ "members": { "group": group } }));
    assert_eq!(uids(&members), ["bob", "carol"]);
    carol.get(&format!("{path}/members?role=COOK")).expect_problem(400, "MALFORMED");
    on_it(carol, json!({ "groupDissolve": {} }));
    bob.post("/v1/messages", json!({ "to": group, "text": "?" })).expect_problem(403, "FORBIDDEN");
}
