//! When a client stops for good, with what error, and that it does not try again then.

use hongyan_client::{CloseCode, Credential, ErrorKind, SendError};

use super::{
    device::{Device, builder, builder_at, content, uid},
    server::TestServer,
};

const ACCEPTED: &str = "hongyan_connections_accepted_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_is_tried_once() {
    let server = TestServer::start();
    server.add_user("alice", "correct horse");
    let mut forged = server.token("alice");
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    let refused = builder_at(&server.address().to_string(), &forged, "phone").connect().await.err().unwrap();
    assert_eq!(*refused.kind(), ErrorKind::LoginRefused { code: CloseCode::BAD_CREDENTIALS });
    let foreign = builder_at(&server.address().to_string(), &server.token("bob"), "phone").uid("alice");
    let refused = foreign.connect().await.err().unwrap();
    assert_eq!(*refused.kind(), ErrorKind::LoginRefused { code: CloseCode::BAD_CREDENTIALS });
    let guess = builder_at(&server.address().to_string(), "", "phone").uid("alice");
    let refused = guess.credential(Credential::Password("battery staple".into())).connect().await.err().unwrap();
    assert_eq!(*refused.kind(), ErrorKind::LoginRefused { code: CloseCode::BAD_CREDENTIALS });
    assert_eq!(server.metric(ACCEPTED), 3, "one connection for each client");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_user_is_stopped_and_stays_out() {
    let server = TestServer::start();
    let token = server.token("alice");
    let address = server.address().to_string();
    let device = Device::connect(builder_at(&address, &token, "phone")).await;
    let output = server.command(&["user", "revoke", "alice"]);
    assert!(output.status.success(), "{output:?}");
    let error = device.wait_stopped().await;
    assert_eq!(*error.kind(), ErrorKind::Ended { code: CloseCode::REVOKED });
    let late = device.client.send(&uid("alice"), content(1)).await.unwrap_err();
    assert!(matches!(late, SendError::Closed(error) if *error.kind() == ErrorKind::Ended { code: CloseCode::REVOKED }));
    let refused = builder_at(&address, &token, "phone").connect().await.err().unwrap();
    assert_eq!(*refused.kind(), ErrorKind::LoginRefused { code: CloseCode::REVOKED });
    assert_eq!(server.metric(ACCEPTED), 2, "one connection for each client");
    Device::connect(builder(&server, "alice", "phone")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_clients_on_one_device_the_older_stops() {
    let server = TestServer::start();
    let older = Device::connect(builder(&server, "alice", "phone")).await;
    let newer = Device::connect(builder(&server, "alice", "phone")).await;
    assert_eq!(*older.wait_stopped().await.kind(), ErrorKind::Replaced);
    newer.client.send(&uid("alice"), content(1)).await.unwrap();
    assert_eq!(server.metric(ACCEPTED), 2, "they do not fight for the place");
    assert_eq!(newer.shown().logins, [false]);
}
