//! The keys that sign and verify tokens: the server's own pair in its file, and the keys given in the configuration.
//!
//! What a token must say to be believed is in [`super::token`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use ring::digest;
use ring::rand::SecureRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use zeroize::Zeroizing;

use super::ring_provider;

/// The shortest HS256 secret in bytes: as long as the hash, as RFC 7518 section 3.2 requires.
pub const MIN_SECRET_LEN: usize = 32;

/// What an Ed25519 SubjectPublicKeyInfo has before the 32 bytes of the key (RFC 8410 section 4).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const KEY_FILE_MODE: u32 = 0o600;

/// Why a key was not taken. No message contains key material.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot {action} the signing key {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the signing key {} can be read by others (mode {mode:04o}): run chmod 600 {}", path.display(), path.display())]
    ReadableByOthers { path: PathBuf, mode: u32 },
    #[error(
        "the signing key {} is not an Ed25519 private key in PKCS#8 PEM: restore it from a backup, or remove it to have a new one made (all tokens minted here become invalid)",
        path.display()
    )]
    NotASigningKey { path: PathBuf },
    #[error("the system gave no random numbers for a new signing key")]
    NoRandomness,
    #[error(
        "an HS256 secret must have at least {MIN_SECRET_LEN} bytes, this one has {len}: make one with openssl rand -hex 32"
    )]
    SecretTooShort { len: usize },
    #[error("an HS256 secret must be a random secret, and this is a PEM file: give a PEM public key as an Ed25519 key")]
    SecretIsPem,
    #[error(
        "an HS256 secret is the same as an Ed25519 public key, which is not secret: make one with openssl rand -hex 32"
    )]
    SecretIsPublicKey,
    #[error(
        "not an Ed25519 public key: give a PEM file that begins with -----BEGIN PUBLIC KEY-----, its DER, or the 32 bytes in base64"
    )]
    NotAnEd25519PublicKey,
    #[error("two keys have the key id {kid:?}: give each key its own, or leave it out")]
    DuplicateKid { kid: String },
    #[error("another cryptography provider for JSON Web Tokens is already installed in this process")]
    ProviderTaken,
}

/// The server's own Ed25519 pair. It has no `Debug`: it is a secret.
pub struct SigningKey {
    kid: String,
    private: EncodingKey,
    public: [u8; 32],
}

impl SigningKey {
    /// Reads the key at `path`, or makes one there if nothing is there.
    ///
    /// The file is PKCS#8 in PEM with mode 0600, and is either absent or whole: it is written beside, synced and
    /// renamed. The caller holds the data directory's lock, so no second process makes a key at the same time.
    ///
    /// # Errors
    /// The file cannot be read or written, is not an Ed25519 key, or anyone but its owner has a right to it.
    pub fn load_or_create(path: &Path, random: &dyn SecureRandom) -> Result<Self, KeyError> {
        match read_private_file(path) {
            Ok(pem) => Self::from_pem(&pem).ok_or_else(|| KeyError::NotASigningKey { path: path.to_owned() }),
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let document = Ed25519KeyPair::generate_pkcs8(random).map_err(|_| KeyError::NoRandomness)?;
                let key = Self::from_pkcs8(document.as_ref()).expect("a key made just now is a key");
                write_private_file(path, &to_pem(document.as_ref()))?;
                Ok(key)
            }
            Err(error) => Err(error),
        }
    }

    fn from_pem(pem: &[u8]) -> Option<Self> {
        Self::from_pkcs8(PrivatePkcs8KeyDer::from_pem_slice(pem).ok()?.secret_pkcs8_der())
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok()?;
        let public: [u8; 32] = pair.public_key().as_ref().try_into().ok()?;
        let fingerprint = digest::digest(&digest::SHA256, &public);
        let kid = URL_SAFE_NO_PAD.encode(&fingerprint.as_ref()[..9]);
        Some(Self { kid, private: EncodingKey::from_ed_der(pkcs8), public })
    }

    /// The key id that minted tokens carry: 12 characters, derived from the public key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn private(&self) -> &EncodingKey {
        &self.private
    }
}

/// A key that verifies tokens, for exactly one algorithm.
pub struct VerifyKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl VerifyKey {
    /// A shared secret for HS256, at least [`MIN_SECRET_LEN`] bytes.
    pub fn hs256(kid: Option<String>, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Err(KeyError::SecretIsPem);
        }
        if secret.len() < MIN_SECRET_LEN {
            return Err(KeyError::SecretTooShort { len: secret.len() });
        }
        Ok(Self { kid, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) })
    }

    /// An Ed25519 public key: PEM or DER (SubjectPublicKeyInfo), or its 32 bytes in base64 (either alphabet).
    pub fn ed25519(kid: Option<String>, key: &[u8]) -> Result<Self, KeyError> {
        let public = parse_ed25519(key).ok_or(KeyError::NotAnEd25519PublicKey)?;
        Ok(Self { kid, algorithm: Algorithm::EdDSA, key: DecodingKey::from_ed_der(&public) })
    }

    pub(super) fn key(&self) -> &DecodingKey {
        &self.key
    }

    fn bytes(&self) -> &[u8] {
        self.key.try_get_as_bytes().unwrap_or_default()
    }

    fn fits(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        let named = match (&self.kid, kid) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        };
        named && self.algorithm == algorithm
    }
}

/// The server's own key and all keys that verify a token.
pub struct KeyRing {
    own: SigningKey,
    keys: Vec<VerifyKey>,
}

impl KeyRing {
    /// Puts the own key and the configured ones together.
    ///
    /// # Errors
    /// Two keys with one key id, or a secret that is also one of the public keys.
    pub fn new(own: SigningKey, configured: Vec<VerifyKey>) -> Result<Self, KeyError> {
        if !ring_provider::install() {
            return Err(KeyError::ProviderTaken);
        }
        let own_public = VerifyKey {
            kid: Some(own.kid.clone()),
            algorithm: Algorithm::EdDSA,
            key: DecodingKey::from_ed_der(&own.public),
        };
        let keys: Vec<VerifyKey> = std::iter::once(own_public).chain(configured).collect();
        refuse_duplicate_kids(&keys)?;
        refuse_public_secrets(&keys)?;
        Ok(Self { own, keys })
    }

    /// The key that mints.
    pub fn own(&self) -> &SigningKey {
        &self.own
    }

    /// The keys that may verify a token with this header: those pinned to its algorithm and, where both the token and
    /// the key have a key id, with the same one.
    pub(super) fn candidates(&self, algorithm: Algorithm, kid: Option<&str>) -> impl Iterator<Item = &VerifyKey> {
        self.keys.iter().filter(move |key| key.fits(algorithm, kid))
    }
}

fn refuse_duplicate_kids(keys: &[VerifyKey]) -> Result<(), KeyError> {
    let mut kids: Vec<&String> = keys.iter().filter_map(|key| key.kid.as_ref()).collect();
    kids.sort_unstable();
    match kids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(KeyError::DuplicateKid { kid: pair[0].clone() }),
        None => Ok(()),
    }
}

fn refuse_public_secrets(keys: &[VerifyKey]) -> Result<(), KeyError> {
    let of = |algorithm| keys.iter().filter(move |key| key.algorithm == algorithm);
    let is_public = |secret: &[u8]| {
        let parsed = parse_ed25519(secret);
        of(Algorithm::EdDSA)
            .map(VerifyKey::bytes)
            .any(|public| secret == public || parsed.is_some_and(|parsed| parsed == public))
    };
    match of(Algorithm::HS256).any(|key| is_public(key.bytes())) {
        true => Err(KeyError::SecretIsPublicKey),
        false => Ok(()),
    }
}

/// The 32 bytes of an Ed25519 public key in any of the forms that [`VerifyKey::ed25519`] takes.
fn parse_ed25519(input: &[u8]) -> Option<[u8; 32]> {
    let text = input.trim_ascii();
    if text.starts_with(b"-----BEGIN") {
        return from_spki(SubjectPublicKeyInfoDer::from_pem_slice(text).ok()?.as_ref());
    }
    if let Some(key) = from_spki(input) {
        return Some(key);
    }
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|base64| {
        let bytes = base64.decode(text).ok()?;
        from_spki(&bytes).or_else(|| bytes.try_into().ok())
    })
}

fn from_spki(der: &[u8]) -> Option<[u8; 32]> {
    der.strip_prefix(&ED25519_SPKI_PREFIX)?.try_into().ok()
}

fn to_pem(pkcs8: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(pkcs8));
    let mut pem = Zeroizing::new(String::with_capacity(base64.len() + 64));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    for line in base64.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}

fn read_private_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |source| KeyError::Io { action: "read", path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    // The mode of the open file, so that it cannot be exchanged between the check and the read.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::ReadableByOthers { path: path.to_owned(), mode });
    }
    let mut content = Zeroizing::new(Vec::new());
    file.read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

fn write_private_file(path: &Path, content: &str) -> Result<(), KeyError> {
    let failed = |source| KeyError::Io { action: "write", path: path.to_owned(), source };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    // What an earlier start may have left when it was killed here.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(KEY_FILE_MODE).open(&beside).map_err(failed)?;
    file.write_all(content.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)?;
    hongyan_directory::sync(hongyan_directory::parent(path)).map_err(failed)
}

#[cfg(test)]
mod tests;
