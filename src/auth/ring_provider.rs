//! HS256 and Ed25519 for the `jsonwebtoken` crate, on `ring`.
//!
//! The crate's own backends are `aws-lc-rs`, a second TLS-sized C library, and `rust_crypto`, which pulls in `rsa` with
//! an open advisory. It takes a provider of ours instead, but only one for the whole process.

use std::sync::OnceLock;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, new_error};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use ring::hmac;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: new_signer,
    verifier_factory: new_verifier,
    // Only JSON Web Keys use these, and nothing here reads JSON Web Keys.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes `jsonwebtoken` use this file. True if it does; false if other code had installed another provider first.
pub(super) fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| PROVIDER.install_default().is_ok())
}

fn new_signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    match (algorithm, key.family()) {
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes())
            .map(|pair| Box::new(Ed25519Signer(pair)) as Box<dyn JwtSigner>)
            .map_err(|_| new_error(ErrorKind::InvalidEddsaKey)),
        _ => Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    }
}

fn new_verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    // The family comes from how the key was configured, the algorithm from the token: both must agree, or the bytes of
    // a public key would do as an HMAC secret.
    match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => {
            Ok(Box::new(Hs256Verifier(hmac::Key::new(hmac::HMAC_SHA256, key.try_get_as_bytes()?))))
        }
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => {
            Ok(Box::new(Ed25519Verifier(UnparsedPublicKey::new(&ED25519, key.try_get_as_bytes()?.to_vec()))))
        }
        _ => Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    }
}

struct Ed25519Signer(Ed25519KeyPair);

impl Signer<Vec<u8>> for Ed25519Signer {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for Ed25519Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct Ed25519Verifier(UnparsedPublicKey<Vec<u8>>);

impl Verifier<Vec<u8>> for Ed25519Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        self.0.verify(message, signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Ed25519Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct Hs256Verifier(hmac::Key);

impl Verifier<Vec<u8>> for Hs256Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        // Compares in constant time.
        hmac::verify(&self.0, message, signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Hs256Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
