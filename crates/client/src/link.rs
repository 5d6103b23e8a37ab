//! One TCP or TLS connection, as bytes in and bytes out. What they mean is the protocol's business.

use std::{io, path::Path, sync::Arc, time::Duration};

use bytes::{Buf as _, BytesMut};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    error::{ClientError, ErrorKind},
    settings::{ClientSettings, Direction, FrameTrace},
};

/// From resolving the name to the end of the TLS handshake.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
const READ_SIZE: usize = 16 * 1024;
/// How a server that expects TLS begins to refuse what is none: an alert. As the length of a frame it would be too large.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How to reach a server, apart from its address.
#[derive(Clone)]
pub(crate) struct Dialer {
    tls: Option<TlsConnector>,
    server_name: Option<String>,
    trace: Option<FrameTrace>,
}

impl Dialer {
    /// Takes the address and what concerns TLS from the settings; returns the `host:port` with it. Reads files.
    pub fn new(settings: &ClientSettings) -> Result<(Self, String), ClientError> {
        let (tls, address) = match settings.server.strip_prefix("tls://") {
            Some(address) => (true, address),
            None => (false, &*settings.server),
        };
        let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            let what = format!("the server address {:?} is not host:port or tls://host:port", settings.server);
            return Err(ClientError::new(ErrorKind::Settings, what));
        }
        if !tls && (settings.ca_file.is_some() || settings.server_name.is_some()) {
            let what = "a CA file or server name was given, but the server address does not begin with tls://";
            return Err(ClientError::new(ErrorKind::Settings, what));
        }
        let tls = if tls { Some(connector(settings.ca_file.as_deref())?) } else { None };
        let dialer = Self { tls, server_name: settings.server_name.clone(), trace: settings.frame_trace.clone() };
        Ok((dialer, address.to_owned()))
    }

    /// Connects to `address`.
    pub async fn dial(self, address: String) -> io::Result<Link> {
        let expired = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
        timeout(DIAL_TIMEOUT, self.open(&address)).await.map_err(expired)?
    }

    async fn open(self, address: &str) -> io::Result<Link> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match self.tls {
            None => Box::new(tcp),
            Some(connector) => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
                let name = self.server_name.as_deref().unwrap_or(host).to_owned();
                let name = ServerName::try_from(name).map_err(io::Error::other)?;
                Box::new(connector.connect(name, tcp).await.map_err(in_our_words)?)
            }
        };
        let (read, write) = tokio::io::split(stream);
        Ok(Link { read, write, out: BytesMut::new(), unflushed: false, heard: false, trace: self.trace })
    }
}

fn in_our_words(error: io::Error) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidMessage(_)) => {
            io::Error::new(error.kind(), "what answers there does not speak TLS: is tls:// meant?")
        }
        _ => error,
    }
}

fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, ClientError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => add_file(&mut roots, path)?,
        None => {
            let native = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(native.certs);
        }
    }
    if roots.is_empty() {
        let what = "no certificate to trust: the system has none, or the CA file is empty; name another CA file";
        return Err(ClientError::new(ErrorKind::Settings, what));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| ClientError::with(ErrorKind::Settings, "TLS 1.3 cannot be set up", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), ClientError> {
    let what = || format!("the CA file {} holds no certificates in PEM form", path.display());
    let unreadable = |error| ClientError::with(ErrorKind::Settings, what(), error);
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots
            .add(certificate.map_err(unreadable)?)
            .map_err(|error| ClientError::with(ErrorKind::Settings, what(), error))?;
    }
    Ok(())
}

/// An open connection.
pub(crate) struct Link {
    read: ReadHalf<Box<dyn Stream>>,
    write: WriteHalf<Box<dyn Stream>>,
    out: BytesMut,
    /// Something was written since the last flush; TLS holds bytes back until then.
    unflushed: bool,
    /// Something was read.
    heard: bool,
    trace: Option<FrameTrace>,
}

impl Link {
    /// Bytes to write as soon as the peer takes them.
    pub fn queue(&mut self, bytes: BytesMut) {
        if let Some(trace) = self.trace.as_ref().filter(|_| !bytes.is_empty()) {
            trace(Direction::Out, &bytes);
        }
        if self.out.is_empty() {
            self.out = bytes;
        } else {
            self.out.extend_from_slice(&bytes);
        }
    }

    /// Bytes that the peer has not taken.
    pub fn queued(&self) -> usize {
        self.out.len()
    }

    /// Writes what is queued and, if `reading`, returns what comes in; empty: the peer has closed. Returns None after
    /// something was written. May be cancelled at any time without loss.
    pub async fn progress(&mut self, reading: bool) -> io::Result<Option<BytesMut>> {
        let Self { read, write, out, unflushed, heard, trace } = self;
        let mut input = BytesMut::new();
        if reading {
            input.reserve(READ_SIZE);
        }
        let writing = *unflushed || out.has_remaining();
        tokio::select! {
            result = read.read_buf(&mut input), if reading => {
                result?;
                if let Some(trace) = trace.as_ref().filter(|_| !input.is_empty()) {
                    trace(Direction::In, &input);
                }
                if !std::mem::replace(heard, true) && input.starts_with(&TLS_ALERT) {
                    return Err(io::Error::other("what answers there speaks TLS: begin the address with tls://"));
                }
                Ok(Some(input))
            }
            result = write_some(write, out, unflushed), if writing => {
                result?;
                Ok(None)
            }
            else => std::future::pending().await,
        }
    }

    /// Writes everything that is queued, and ends the stream.
    pub async fn finish(&mut self) -> io::Result<()> {
        while self.out.has_remaining() || self.unflushed {
            write_some(&mut self.write, &mut self.out, &mut self.unflushed).await?;
        }
        self.write.shutdown().await
    }
}

async fn write_some(
    write: &mut WriteHalf<Box<dyn Stream>>,
    out: &mut BytesMut,
    unflushed: &mut bool,
) -> io::Result<()> {
    if out.has_remaining() {
        *unflushed = true;
        write.write_buf(out).await?;
    } else {
        write.flush().await?;
        *unflushed = false;
    }
    Ok(())
}
