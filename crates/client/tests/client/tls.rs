//! TLS: who is trusted, and that the bytes get through.

use std::{path::PathBuf, sync::Arc};

use hongyan_client::{Client, Credential, ErrorKind};
use rustls::pki_types::PrivateKeyDer;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::fake::{Server, received, within};

/// Takes TLS off the connections to a plain server; returns its address and the file with its certificate.
async fn tls_in_front_of(server: &Server, directory: &std::path::Path) -> (String, PathBuf) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["chat.example".into()]).unwrap();
    let file = directory.join("ca.pem");
    std::fs::write(&file, cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, behind) = (listener.local_addr().unwrap().to_string(), server.address());
    tokio::spawn(async move {
        while let Ok((outer, _)) = listener.accept().await {
            let Ok(mut outer) = acceptor.accept(outer).await else { continue };
            let mut inner = TcpStream::connect(&behind).await.unwrap();
            let _ = copy_bidirectional(&mut outer, &mut inner).await;
        }
    });
    (address, file)
}

#[tokio::test]
async fn a_trusted_server_is_logged_in_to() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let (address, ca) = tls_in_front_of(&server, directory.path()).await;
    let builder =
        || Client::builder(&format!("tls://{address}")).device("phone").credential(Credential::Token("x".into()));
    let trusting = builder().ca_file(&ca).server_name("chat.example");
    let (client, mut events, mut peer) = server.connect(trusting, 1).await;
    peer.push(1, 1).await;
    assert_eq!(received(&mut events).await.cseq, 1);
    within("close", client.close()).await;

    // The right certificate for another name.
    let short = std::time::Duration::from_millis(300);
    let error = builder().ca_file(&ca).connect_timeout(short).connect().await.err().unwrap();
    assert_eq!(*error.kind(), ErrorKind::Unreachable);
    assert!(!server.is_called().await, "nothing got through");
}
