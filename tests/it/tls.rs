//! The native port with TLS.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
};

use hongyan_proto::{codec::PREFACE, frame::Frame};
use rustix::process::Signal;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};

use crate::{
    server::{DEADLINE, TestServer, program},
    wire::{WireClient, hello},
};

/// Writes a new self-signed certificate and its key.
fn issue(directory: &Path) -> CertificateDer<'static> {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("cert.pem"), issued.cert.pem()).unwrap();
    std::fs::write(directory.join("key.pem"), issued.signing_key.serialize_pem()).unwrap();
    issued.cert.der().clone()
}

fn config(directory: &Path) -> String {
    format!("[tls]\ncert = \"{0}/cert.pem\"\nkey = \"{0}/key.pem\"\n", directory.display())
}

/// A connection that trusts one certificate; Err: the handshake fails.
fn connect(server: &TestServer, trusted: &CertificateDer<'static>) -> std::io::Result<WireClient> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(server.address())?;
    socket.set_read_timeout(Some(DEADLINE))?;
    connection.complete_io(&mut socket)?;
    assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    Ok(WireClient::with_transport(StreamOwned::new(connection, socket.try_clone()?), socket))
}

#[test]
fn a_login_a_message_and_a_new_certificate() {
    let files = tempfile::tempdir().unwrap();
    let old = issue(files.path());
    let server = TestServer::with(&config(files.path()));
    let token = server.token("alice");
    let mut alice = connect(&server, &old).unwrap();
    alice.send_bytes(&PREFACE);
    alice.send(Frame::Hello(hello("alice", "phone", &token)));
    alice.expect_welcome();
    alice.send_message(1, "alice", &[7; 20_000]);
    alice.expect_send_ack(1);

    let new = issue(files.path());
    server.signal(Signal::HUP);
    server.wait_for_log("the certificate was read again");
    assert!(connect(&server, &old).is_err());
    let mut desk = connect(&server, &new).unwrap();
    desk.send_bytes(&PREFACE);
    desk.send(Frame::Hello(hello("alice", "desk", &token)));
    desk.expect_welcome();
    assert_eq!(desk.expect_message(1).content.len(), 20_000);
    alice.ping();

    // A certificate that cannot be used changes nothing.
    std::fs::write(files.path().join("cert.pem"), "nonsense").unwrap();
    server.signal(Signal::HUP);
    server.wait_for_log("the certificate stays as it was");
    connect(&server, &new).unwrap();
    server.assert_healthy();
}

#[test]
fn plaintext_on_the_tls_port_gets_nowhere() {
    let files = tempfile::tempdir().unwrap();
    let trusted = issue(files.path());
    let server = TestServer::with(&config(files.path()));
    for opening in [&PREFACE[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 600]] {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.write_all(opening).unwrap();
        socket.write_all(&[0; 64]).unwrap();
        let mut answer = Vec::new();
        // A TLS alert at most, and the end, be it a reset.
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.len() <= 7 && answer.first().is_none_or(|first| *first == 0x15), "{answer:?}");
    }
    connect(&server, &trusted).unwrap();
    server.assert_healthy();
}

#[test]
fn off_loopback_without_tls_is_refused_unless_it_is_said() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let refused = program(["serve", "--data", data, "--listen", "0.0.0.0:0", "--http", "off"], "");
    assert_eq!(refused.status.code(), Some(2));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.contains("listen") && message.contains("tls"), "{message}");
    let check = ["check-config", "--data", data, "--listen", "0.0.0.0:0", "--insecure-plaintext"];
    assert!(program(check, "").status.success());
}
