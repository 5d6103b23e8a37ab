use std::fs;

use rcgen::generate_simple_self_signed;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore};

use super::*;

struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap() };
        files.issue();
        files
    }

    fn params(&self) -> TlsParams {
        let path = |name| self.dir.path().join(name);
        TlsParams { certificate: path("cert.pem"), key: path("key.pem") }
    }

    /// Puts a new pair in place and returns its certificate.
    fn issue(&self) -> CertificateDer<'static> {
        let issued = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(self.params().certificate, issued.cert.pem()).unwrap();
        fs::write(self.params().key, issued.signing_key.serialize_pem()).unwrap();
        self.set_key_mode(0o600);
        issued.cert.der().clone()
    }

    fn set_key_mode(&self, mode: u32) {
        fs::set_permissions(self.params().key, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self) -> Tls {
        let (tls, warning) = Tls::load(self.params()).unwrap();
        assert_eq!(warning, None);
        tls
    }

    fn error(&self) -> String {
        Tls::load(self.params()).expect_err("must be refused").to_string()
    }
}

fn client_config(
    trusted: &CertificateDer<'static>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Arc::new(builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots).with_no_client_auth())
}

/// Both ends of one connection, without a network between them.
struct Pair {
    client: ClientConnection,
    server: ServerConnection,
    largest_record: usize,
}

impl Pair {
    fn new(tls: &Tls, client: Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(client, name).unwrap();
        let mut server = ServerConnection::new(tls.config()).unwrap();
        limit_buffers(&mut server);
        Self { client, server, largest_record: 0 }
    }

    /// Carries bytes until neither end has more to say.
    fn run(&mut self) -> Result<(), RustlsError> {
        while self.client.wants_write() || self.server.wants_write() {
            let mut bytes = Vec::new();
            self.client.write_tls(&mut bytes).unwrap();
            self.server.read_tls(&mut &bytes[..]).unwrap();
            self.server.process_new_packets()?;
            while self.server.wants_write() {
                let mut bytes = Vec::new();
                self.server.write_tls(&mut bytes).unwrap();
                self.note_records(&bytes);
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    self.client.read_tls(&mut rest).unwrap();
                    self.client.process_new_packets()?;
                }
            }
        }
        Ok(())
    }

    fn note_records(&mut self, mut bytes: &[u8]) {
        while let [_, _, _, high, low, rest @ ..] = bytes {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            self.largest_record = self.largest_record.max(len);
            bytes = &rest[len..];
        }
    }
}

fn handshake(tls: &Tls, trusted: &CertificateDer<'static>) -> Result<Pair, RustlsError> {
    let mut pair = Pair::new(tls, client_config(trusted, &[&version::TLS13]));
    pair.run()?;
    Ok(pair)
}

#[test]
fn a_client_that_trusts_the_certificate_gets_tls_1_3() {
    let files = Files::new();
    let trusted = files.issue();
    let pair = handshake(&files.load(), &trusted).unwrap();
    assert_eq!(pair.server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert!(!pair.client.is_handshaking());
}

#[test]
fn tls_1_2_is_refused() {
    let files = Files::new();
    let trusted = files.issue();
    let mut pair = Pair::new(&files.load(), client_config(&trusted, &[&version::TLS12]));
    assert!(matches!(pair.run(), Err(RustlsError::PeerIncompatible(_))));
}

#[test]
fn records_and_buffers_are_small_and_tickets_keep_no_state() {
    let files = Files::new();
    let trusted = files.issue();
    let tls = files.load();
    let client = client_config(&trusted, &[&version::TLS13]);
    let mut first = Pair::new(&tls, client.clone());
    first.run().unwrap();
    let taken = io::Write::write(&mut first.server.writer(), &[7; 1_000_000]).unwrap();
    assert!(taken <= SEND_BUFFER, "{taken} bytes were buffered");
    first.run().unwrap();
    assert!(first.largest_record <= MAX_RECORD + 22, "a record of {}", first.largest_record);
    assert!(!tls.config().session_storage.can_cache());
    let mut second = Pair::new(&tls, client);
    second.run().unwrap();
    assert_eq!(second.client.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
}

#[test]
fn a_reload_changes_new_handshakes_only_and_an_error_changes_nothing() {
    let files = Files::new();
    let old = files.issue();
    let tls = files.load();
    let new = files.issue();
    assert!(handshake(&tls, &old).is_ok(), "not before the reload");
    assert_eq!(tls.reload().unwrap(), None);
    assert!(handshake(&tls, &new).is_ok());
    assert!(handshake(&tls, &old).is_err(), "the old certificate is gone");
    fs::write(files.params().certificate, "half a file").unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::NoCertificate { .. })));
    assert!(handshake(&tls, &new).is_ok(), "an error keeps what was there");
    fs::remove_file(files.params().key).unwrap();
    assert!(tls.reload().is_err());
    assert!(handshake(&tls, &new).is_ok());
}

#[test]
fn errors_name_the_file_and_what_is_wrong() {
    let files = Files::new();
    let TlsParams { certificate, key, .. } = files.params();
    let (good_certificate, good_key) = (fs::read_to_string(&certificate).unwrap(), fs::read_to_string(&key).unwrap());
    let other = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let not_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let not_a_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let one_line = good_key.replace('\n', "");
    let table = [
        (&certificate, String::new(), "no certificate"),
        (&certificate, good_key.clone(), "no certificate"),
        (&certificate, good_certificate[..100].to_owned(), "not valid PEM"),
        (&certificate, not_x509.to_owned(), "X.509"),
        (&certificate, other.cert.pem(), "does not belong"),
        (&key, String::new(), "no private key"),
        (&key, good_certificate.clone(), "no private key"),
        (&key, good_key[..60].to_owned(), "not valid PEM"),
        (&key, one_line, "PEM"),
        (&key, not_a_key.to_owned(), "cannot be used"),
        (&key, other.signing_key.serialize_pem(), "does not belong"),
    ];
    for (path, content, expected) in table {
        fs::write(&certificate, &good_certificate).unwrap();
        fs::write(&key, &good_key).unwrap();
        fs::write(path, content).unwrap();
        let message = files.error();
        assert!(message.contains(expected) && message.contains(path.to_str().unwrap()), "{expected}: {message}");
        assert!(!message.contains(&good_key[30..50]), "key material in {message}");
    }
    for path in [&certificate, &key] {
        fs::write(&certificate, &good_certificate).unwrap();
        fs::write(&key, &good_key).unwrap();
        fs::remove_file(path).unwrap();
        let message = files.error();
        assert!(message.contains("cannot read") && message.contains(path.to_str().unwrap()), "{message}");
    }
}

#[test]
fn a_key_that_others_can_read_is_a_warning() {
    let files = Files::new();
    files.set_key_mode(0o644);
    let path = files.params().key;
    let expected = TlsWarning::KeyReadableByOthers { path: path.clone(), mode: 0o644 };
    let (tls, warning) = Tls::load(files.params()).unwrap();
    assert_eq!(warning.as_ref(), Some(&expected));
    assert!(warning.unwrap().to_string().contains(&format!("chmod 600 {}", path.display())));
    assert_eq!(tls.reload().unwrap(), Some(expected));
    files.set_key_mode(0o600);
    assert_eq!(tls.reload().unwrap(), None);
}
