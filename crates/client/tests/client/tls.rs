//! TLS: who is trusted, what is said about who is not, and that the bytes get through.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use hongyan_client::{Builder, CertificateProblem, Client, Credential, ErrorKind, Event};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::PrivateKeyDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::fake::{Server, connected, next, received, within};

const NAME: &str = "chat.example";

/// A certificate of one's own for [`NAME`], changed in one way, and its PEM.
fn certificate(change: impl FnOnce(&mut CertificateParams)) -> (Arc<CertifiedKey>, String) {
    let mut params = CertificateParams::new(vec![NAME.into()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = ring::sign::any_supported_type(&key).unwrap();
    (Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)), certificate.pem())
}

/// Takes TLS off the connections to a plain server, and shows a certificate.
#[derive(Debug)]
struct Front {
    shown: Mutex<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Front {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.lock().unwrap().clone())
    }
}

impl Front {
    /// With its address.
    async fn of(server: &Server, certificate: Arc<CertifiedKey>) -> (Arc<Self>, String) {
        let front = Arc::new(Self { shown: Mutex::new(certificate) });
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(front.clone());
        // Who comes with one is not shown the certificate again.
        config.send_tls13_tickets = 0;
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
        (front, address)
    }

    fn show(&self, certificate: Arc<CertifiedKey>) {
        *self.shown.lock().unwrap() = certificate;
    }
}

/// A client that trusts the certificates in `trusted`, written to the file `ca`.
fn client(address: &str, ca: &Path, trusted: &str) -> Builder {
    std::fs::write(ca, trusted).unwrap();
    let builder = Client::builder(&format!("tls://{address}")).device("phone").uid("alice");
    builder.credential(Credential::Token("x".into())).ca_file(ca).server_name(NAME)
}

#[tokio::test]
async fn a_trusted_server_is_logged_in_to_and_one_whose_certificate_expires_is_not() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let (good, good_pem) = certificate(|_| {});
    let (expired, expired_pem) = certificate(|params| params.not_after = date_time_ymd(2020, 1, 1));
    let (front, address) = Front::of(&server, good.clone()).await;
    let trusting = client(&address, &ca, &(good_pem + &expired_pem));
    let (client, mut events, mut peer) = server.connect(trusting, 1).await;
    peer.push(1, 1).await;
    assert_eq!(received(&mut events).await.cseq, 1);

    front.show(expired);
    drop(peer);
    let reason = loop {
        match next(&mut events).await {
            Event::Disconnected { reason, .. } if reason.contains("certificate") => break reason,
            Event::Disconnected { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(reason.contains("has expired") && reason.contains("days ago"), "{reason}");
    front.show(good);
    let mut peer = server.accept().await;
    peer.resumed(b"first", b"second", 1, 0).await;
    connected(&mut events, true).await;
    within("close", client.close()).await;
}

/// What is said of a server that shows a certificate changed like that; it is trusted itself, unless another is.
async fn refusal(change: impl FnOnce(&mut CertificateParams), trusted: Option<&str>) -> (CertificateProblem, String) {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let (shown, pem) = certificate(change);
    let (_, address) = Front::of(&server, shown).await;
    let client = client(&address, &directory.path().join("ca.pem"), trusted.unwrap_or(&pem));
    let error = within("refusal", client.connect()).await.err().unwrap();
    assert!(!server.is_called().await, "nothing got through");
    let ErrorKind::Certificate(problem) = error.kind() else { panic!("{error:?}") };
    (problem.clone(), error.to_string())
}

#[tokio::test]
async fn a_certificate_of_a_ca_is_refused_with_what_to_do() {
    let (problem, said) = refusal(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), None).await;
    assert_eq!(problem, CertificateProblem::OfAuthority);
    assert!(said.contains("basicConstraints=critical,CA:FALSE"), "{said}");
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_refused_with_the_time() {
    let (problem, said) = refusal(|params| params.not_after = date_time_ymd(2020, 1, 1), None).await;
    assert!(matches!(problem, CertificateProblem::Expired { seconds } if seconds > 86_400), "{problem:?}");
    assert!(said.contains("has expired") && said.contains("days ago"), "{said}");
    let (problem, said) = refusal(|params| params.not_before = date_time_ymd(2900, 1, 1), None).await;
    assert!(matches!(problem, CertificateProblem::NotYetValid { .. }), "{problem:?}");
    assert!(said.contains("look at the clock"), "{said}");
}

#[tokio::test]
async fn a_certificate_for_other_names_is_refused_with_these() {
    for (names, expected) in [(&["a.b", "10.0.0.1"][..], "but for a.b, 10.0.0.1"), (&[], "but for no name at all")] {
        let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        let other = CertificateParams::new(names.clone()).unwrap();
        let (problem, said) = refusal(|params| params.subject_alt_names = other.subject_alt_names, None).await;
        assert_eq!(problem, CertificateProblem::OtherName { expected: NAME.into(), presented: names });
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn a_certificate_of_nobody_who_is_trusted_is_refused() {
    let (_, trusted) = certificate(|_| {});
    let renamed = |params: &mut CertificateParams| params.distinguished_name = DistinguishedName::new();
    let made_anew = |_: &mut CertificateParams| {};
    for problem in [refusal(renamed, Some(&trusted)).await.0, refusal(made_anew, Some(&trusted)).await.0] {
        assert_eq!(problem, CertificateProblem::UnknownIssuer);
    }
}

/// What is said of a server that answers so, and nothing else.
async fn said_of(with_tls: bool, answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(answer).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let builder = match with_tls {
        true => client(&address, &ca, &certificate(|_| {}).1),
        false => Client::builder(&address).device("phone").uid("alice").credential(Credential::Token("x".into())),
    };
    let error = builder.connect_timeout(Duration::from_millis(300)).connect().await.err().unwrap();
    assert_eq!(*error.kind(), ErrorKind::Unreachable, "{error}");
    error.to_string()
}

#[tokio::test]
async fn tls_on_one_side_alone_is_told() {
    // A CLOSE 4000, and the alert that is sent where no TLS is understood.
    let said = said_of(true, &[0, 0, 4, 0x0B, 0x08, 0xA0, 0x1F]).await;
    assert!(said.contains("does not speak TLS"), "{said}");
    let said = said_of(false, &[0x15, 3, 3, 0, 2, 2, 10]).await;
    assert!(said.contains("begin the address with tls://"), "{said}");
}
