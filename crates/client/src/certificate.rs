//! What is wrong with a server's certificate, told so that somebody can put it right.

use std::io;

use rustls::{CertificateError, Error};

const HOUR: u64 = 3600;

/// Why the certificate that a server shows is not accepted. Shown to a person it says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// It is the certificate of a certificate authority, which signs others. `openssl req -x509` makes such a one.
    #[error(
        "the server's certificate is that of a CA, which can sign others but not be a server's own: have it sign one for \
         the server, or make one that is no CA's (openssl req -x509 -addext basicConstraints=critical,CA:FALSE \
         -addext subjectAltName=DNS:NAME …)"
    )]
    OfAuthority,
    /// Nobody who is trusted here has signed it.
    #[error(
        "the server's certificate is signed by nobody who is trusted here: name that of its CA, or itself if it is self-signed, as the CA file"
    )]
    UnknownIssuer,
    /// It is for other names than the one that was connected to. Those that it is for may be none: a subject or common
    /// name does not count.
    #[error(
        "the server's certificate is not for {expected}, but for {}: connect to such a name, or make one that names {expected} (subjectAltName)",
        names(presented)
    )]
    OtherName { expected: String, presented: Vec<String> },
    /// Its time is over.
    #[error("the server's certificate has expired {} ago: it needs a new one (or the clock here is fast)", span(*seconds))]
    Expired { seconds: u64 },
    /// Its time has not begun.
    #[error("the server's certificate will be valid only in {}: look at the clock here", span(*seconds))]
    NotYetValid { seconds: u64 },
    /// Something else, in the words of the TLS library.
    #[error("the server's certificate is not accepted: {0}")]
    Other(String),
}

impl CertificateProblem {
    /// None: what went wrong in TLS is not the certificate.
    pub fn of(error: &Error) -> Option<Self> {
        let Error::InvalidCertificate(error) = error else { return None };
        Some(match error {
            // The type of this one is the verifier's, and not the TLS library's.
            CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => Self::OfAuthority,
            CertificateError::UnknownIssuer
            // Another of the issuer's name is trusted, as where a self-signed one was made anew.
            | CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Self::UnknownIssuer,
            CertificateError::NotValidForNameContext { expected, presented } => Self::OtherName {
                expected: expected.to_str().into_owned(),
                presented: presented.iter().map(|name| bare(name).to_owned()).collect(),
            },
            CertificateError::ExpiredContext { time, not_after } => {
                Self::Expired { seconds: time.as_secs().saturating_sub(not_after.as_secs()) }
            }
            CertificateError::NotValidYetContext { time, not_before } => {
                Self::NotYetValid { seconds: not_before.as_secs().saturating_sub(time.as_secs()) }
            }
            other => Self::Other(other.to_string()),
        })
    }

    /// As [`Self::of`], for what a TLS stream fails with.
    pub(crate) fn of_io(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref()).and_then(Self::of)
    }
}

/// `DnsName("chat.example")` without its kind.
fn bare(name: &str) -> &str {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.map_or(name, |inside| inside.trim_matches('"'))
}

fn names(presented: &[String]) -> String {
    if presented.is_empty() { "no name at all".into() } else { presented.join(", ") }
}

fn span(seconds: u64) -> String {
    match seconds / HOUR {
        0 => "less than an hour".into(),
        hours @ 1..48 => format!("{hours} h"),
        hours => format!("{} days", hours / 24),
    }
}
