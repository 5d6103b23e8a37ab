//! `hongyan trace`: what became of a message, on a running and on a stopped server.

use hongyan_proto::wire::{self, act::What};
use serde_json::Value;

use crate::{
    server::{TestServer, eventually},
    wire::WireClient,
};

fn trace(server: &TestServer, args: &[&str]) -> Result<String, String> {
    let output = server.command(&[&["trace"], args].concat());
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

fn trace_json(server: &TestServer, args: &[&str]) -> Value {
    serde_json::from_str(&trace(server, &[args, &["--json"]].concat()).unwrap()).unwrap()
}

#[test]
fn an_operator_sees_who_has_a_message_and_never_what_it_says() {
    let mut server = TestServer::with("[delivery]\nreceipt_delay = \"0ms\"\n");
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    let (mut bob, _) = WireClient::login_as(&server, "bob", "tablet");
    let (mut carol, _) = WireClient::login_as(&server, "carol", "phone");
    carol.finish();
    assert_eq!(carol.next(), None);
    let create = wire::GroupCreate { members: vec!["bob".into(), "carol".into()], ..Default::default() };
    let group = format!("#{}", alice.act(1, "", What::GroupCreate(create)).unwrap().group);
    let cseq = alice.post(2, &group, b"the secret").to_string();
    // The row of the list, the making of the group, the message.
    for _ in 0..3 {
        bob.expect_push();
    }
    bob.ack(3);
    let numbered = ["alice", &group, &cseq];
    let found = eventually("delivered to bob", || {
        let found = trace_json(&server, &numbered);
        (found["recipients"][0]["devices"][0]["delivered"] == true && found["recipients"][0]["delivered_ms"].is_u64())
            .then_some(found)
    });
    assert_eq!(found, trace_json(&server, &["bob", &group, &cseq]), "whoever of the group is named");
    assert_eq!(found, trace_json(&server, &["alice", "--send-no", "2", "--device", "phone"]));
    assert_eq!((&found["outcome"], &found["from"]), (&"committed".into(), &"alice".into()));
    let [to_bob, to_carol] = found["recipients"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!((&to_bob["uid"], &to_bob["delivered"], &to_bob["read"]), (&"bob".into(), &true.into(), &false.into()));
    let device = &to_bob["devices"][0];
    assert_eq!((&device["device"], &device["offered"], &device["cursor"]), (&"tablet".into(), &true.into(), &3.into()));
    assert_eq!((&to_carol["uid"], &to_carol["delivered"]), (&"carol".into(), &false.into()));
    assert_eq!(to_carol["devices"][0]["offered"], false);

    let text = trace(&server, &numbered).unwrap();
    assert!(text.contains("tablet\tonline\thas it\tcursor 3") && text.contains("not read"), "{text}");
    assert!(!text.contains("secret") && !found.to_string().contains("secret"));

    server.kill();
    let stopped = trace_json(&server, &numbered);
    assert_eq!(stopped["recipients"][0]["devices"][0]["offered"], false);
    assert_eq!(stopped["recipients"][0]["delivered_ms"], to_bob["delivered_ms"]);
}

#[test]
fn a_trace_of_nothing_says_what_is_missing() {
    let server = TestServer::start();
    let (mut alice, _) = WireClient::login_as(&server, "alice", "phone");
    server.token("bob");
    alice.post(1, "bob", b"hi");
    for (args, expected) in [
        (&["nobody", "bob", "1"][..], "there is no user nobody"),
        (&["alice", "carol", "1"], "alice has no conversation carol"),
        (&["alice", "#1", "1"], "alice has no conversation #1"),
        (&["alice", "bob", "2"], "there is no message 2"),
        (&["alice", "--send-no", "5", "--device", "phone"], "nothing is kept of send_no 5"),
        (&["alice", "--send-no", "1", "--device", "tablet"], "alice has no device tablet"),
    ] {
        let error = trace(&server, args).unwrap_err();
        assert!(error.contains(expected), "{args:?}: {error}");
    }
}
