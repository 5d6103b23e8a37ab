//! The SDK over TLS 1.3, to a server that shows a certificate of an authority of its own.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use hongyan_client::{CertificateProblem, Client, ErrorKind};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::tempdir;

use super::{
    device::{Device, assert_messages, assert_sent, builder_at, uid},
    server::TestServer,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_go_over_tls() {
    const COUNT: u64 = 500;
    let files = tempdir().unwrap();
    let path = |name| files.path().join(name);
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["chat.test".into()]).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(path("ca.pem"), authority.pem()).unwrap();
    fs::write(path("cert.pem"), certificate.pem()).unwrap();
    fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    fs::set_permissions(path("key.pem"), Permissions::from_mode(0o600)).unwrap();
    let config = format!("[tls]\ncert = {:?}\nkey = {:?}\n", path("cert.pem"), path("key.pem"));
    let server = TestServer::with(&config);

    let address = format!("tls://{}", server.address());
    let to = |user, device| {
        builder_at(&address, &server.token(user), device).ca_file(path("ca.pem")).server_name("chat.test")
    };
    let (alice, bob) = (uid("alice"), uid("bob"));
    let sender = Device::connect(to("alice", "phone")).await;
    let receiver = Device::connect(to("bob", "phone")).await;
    sender.send_numbers(&bob, 1..=COUNT).await;
    receiver.wait_messages(COUNT as usize).await;
    assert_sent(&sender.shown().sent, COUNT);
    assert_messages(&receiver.shown().messages, COUNT, false);
    sender.client.history(&bob, Default::default()).await.unwrap();
    receiver.client.history(&alice, Default::default()).await.unwrap();

    let mistrust = to("alice", "tablet").server_name("other.test");
    let refused = mistrust.connect().await.err().unwrap();
    assert!(matches!(refused.kind(), ErrorKind::Certificate(CertificateProblem::OtherName { .. })), "{refused}");
    let plain = Client::builder(&server.address().to_string()).ca_file(path("ca.pem"));
    assert_eq!(*plain.device("tablet").connect().await.err().unwrap().kind(), ErrorKind::Settings);
    server.assert_healthy();
}
