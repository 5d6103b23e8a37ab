//! The socket on which operators talk to a running server, in the data directory, so that only its owner can open it.
//! What they ask and what is done about it is in [`crate::session::operator`].
//!
//! One JSON object a line each way.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};
use tokio_util::sync::CancellationToken;

use crate::session::{
    Service,
    operator::{Request, Response},
};

/// Longest request, in bytes.
const MAX_REQUEST: u64 = 64 * 1024;

/// Where the socket of a data directory is.
pub fn socket_path(data: &Path) -> PathBuf {
    data.join("admin.sock")
}

/// Opens the socket, in place of one that a killed server left.
///
/// # Errors
/// The path is too long for a socket (about 100 bytes) or cannot be written.
pub fn bind(data: &Path) -> io::Result<UnixListener> {
    let path = socket_path(data);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers operators until `stop`.
pub async fn run(listener: UnixListener, service: Arc<Service>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, service.clone()))),
            Err(error) => {
                tracing::warn!(%error, "the admin socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(mut stream: UnixStream, service: Arc<Service>) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    BufReader::new(reader.take(MAX_REQUEST)).read_line(&mut line).await?;
    let response = match serde_json::from_str(&line) {
        Ok(request) => service.operate(request).await,
        Err(_) => Response::Error("this is no request that this server knows; is it the same version?".into()),
    };
    writer.write_all(&to_line(&response)).await
}

/// Asks the server that runs on `data`. None: none does.
pub async fn ask(data: &Path, request: &Request) -> io::Result<Option<Response>> {
    let mut stream = match UnixStream::connect(socket_path(data)).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.write_all(&to_line(request)).await?;
    let mut line = String::new();
    BufReader::new(&mut stream).read_line(&mut line).await?;
    serde_json::from_str(&line).map(Some).map_err(io::Error::other)
}

fn to_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("requests and responses are plain JSON");
    line.push(b'\n');
    line
}
