//! The server's TLS: a configuration made from two PEM files, and their reload while connections run.
//!
//! The cryptography is `ring`, given to the configuration itself: the process has no default provider. Accepting
//! connections is the listener's work, deciding whether plaintext is allowed is the configuration's.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error as RustlsError, InconsistentKeys, ServerConfig, ServerConnection, version};
use zeroize::Zeroizing;

/// The largest TLS record that is sent, in bytes of content. A receiver must hold a whole record before it can read any
/// of it, so small ones keep both sides' buffers small; each costs 22 bytes and some 0.5 % of bandwidth.
const MAX_RECORD: usize = 4096;

/// The most that one connection buffers before the socket takes it, in bytes: the library's default is 64 KiB.
const SEND_BUFFER: usize = 16 * 1024;

/// Where the certificate is, and what is allowed.
#[derive(Debug, Clone)]
pub struct TlsParams {
    /// The certificate chain in PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key in PEM: PKCS#8, SEC1 or PKCS#1.
    pub key: PathBuf,
}

/// Why there is no certificate to serve. Each names the file. No message contains a part of the key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read the TLS {what} {}: {source}", path.display())]
    Read { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not valid PEM: it must have BEGIN and END lines, and base64 between them", path.display())]
    NotPem { path: PathBuf },
    #[error("no certificate in {}: it needs a section -----BEGIN CERTIFICATE-----", path.display())]
    NoCertificate { path: PathBuf },
    #[error("the first certificate in {} cannot be read as X.509: {source}", path.display())]
    BadCertificate { path: PathBuf, source: RustlsError },
    #[error("no private key in {}: it needs a section -----BEGIN PRIVATE KEY----- (encrypted keys are not supported)", path.display())]
    NoKey { path: PathBuf },
    #[error("the private key in {} cannot be used: it must be RSA, ECDSA P-256 or P-384, or Ed25519", path.display())]
    BadKey { path: PathBuf },
    #[error(
        "the key in {} does not belong to the first certificate in {}: give the pair that was issued together, the server's own certificate first",
        key.display(), certificate.display()
    )]
    Mismatch { key: PathBuf, certificate: PathBuf },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] RustlsError),
}

/// What is not well, and stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsWarning {
    #[error("the TLS key {} can be read by others (mode {mode:04o}): run chmod 600 {}", path.display(), path.display())]
    KeyReadableByOthers { path: PathBuf, mode: u32 },
}

/// The configuration for an acceptor, and the certificate in it, which [`Self::reload`] exchanges.
#[derive(Debug)]
pub struct Tls {
    params: TlsParams,
    current: Arc<CurrentCertificate>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files and makes the configuration.
    pub fn load(params: TlsParams) -> Result<(Self, Option<TlsWarning>), TlsError> {
        let provider = Arc::new(ring::default_provider());
        let (certificate, warning) = load_certificate(&params, &provider)?;
        let current = Arc::new(CurrentCertificate(ArcSwap::from_pointee(certificate)));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.max_fragment_size = Some(MAX_RECORD);
        // Tickets carry their state themselves, under a key that rotates: resuming is cheap, and nothing grows here.
        config.ticketer = ring::Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        Ok((Self { params, current, config: Arc::new(config) }, warning))
    }

    /// What a `TlsAcceptor` takes. It stays the same over reloads.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Reads the files again; new handshakes get the new certificate. On an error the old one stays.
    pub fn reload(&self) -> Result<Option<TlsWarning>, TlsError> {
        let (certificate, warning) = load_certificate(&self.params, self.config.crypto_provider())?;
        self.current.0.store(Arc::new(certificate));
        Ok(warning)
    }
}

/// Bounds what a connection buffers; for `TlsAcceptor::accept_with`.
pub fn limit_buffers(connection: &mut ServerConnection) {
    connection.set_buffer_limit(Some(SEND_BUFFER));
}

#[derive(Debug)]
struct CurrentCertificate(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn load_certificate(
    params: &TlsParams,
    provider: &CryptoProvider,
) -> Result<(CertifiedKey, Option<TlsWarning>), TlsError> {
    let chain = load_chain(&params.certificate)?;
    let (key, warning) = load_key(&params.key)?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| TlsError::BadKey { path: params.key.clone() })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(RustlsError::InconsistentKeys(InconsistentKeys::Unknown)) => Ok((certified, warning)),
        Err(RustlsError::InconsistentKeys(_)) => {
            Err(TlsError::Mismatch { key: params.key.clone(), certificate: params.certificate.clone() })
        }
        Err(source) => Err(TlsError::BadCertificate { path: params.certificate.clone(), source }),
    }
}

fn load_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read("certificate", path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| not_pem(path))?;
    match chain.is_empty() {
        true => Err(TlsError::NoCertificate { path: path.to_owned() }),
        false => Ok(chain),
    }
}

fn load_key(path: &Path) -> Result<(PrivateKeyDer<'static>, Option<TlsWarning>), TlsError> {
    let pem = read("key", path)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey { path: path.to_owned() },
        // The parser's own message may quote a line of the file.
        _ => not_pem(path),
    })?;
    let metadata = std::fs::metadata(path).map_err(|source| read_failed("key", path, source))?;
    let mode = metadata.permissions().mode() & 0o7777;
    let warning = TlsWarning::KeyReadableByOthers { path: path.to_owned(), mode };
    Ok((key, (mode & 0o077 != 0).then_some(warning)))
}

fn read(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    std::fs::read(path).map(Zeroizing::new).map_err(|source| read_failed(what, path, source))
}

fn read_failed(what: &'static str, path: &Path, source: io::Error) -> TlsError {
    TlsError::Read { what, path: path.to_owned(), source }
}

fn not_pem(path: &Path) -> TlsError {
    TlsError::NotPem { path: path.to_owned() }
}

#[cfg(test)]
mod tests;
