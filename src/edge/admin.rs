//! What an operator does to a server: users, tokens, backups. On a running server through a socket in the data directory
//! that only its owner can open; on a stopped one by the same code on the same files.
//!
//! One JSON object a line each way.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hongyan_proto::{DeviceName, Uid};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Secret,
    committer::op::AccountAction,
    session::{
        accounts,
        service::Core,
        trace::{self, Trace},
        upkeep,
    },
    store::archive,
};

/// Longest request, in bytes.
const MAX_REQUEST: u64 = 64 * 1024;
/// Users in one answer.
const USERS_PER_PAGE: usize = 1000;

/// What can be asked for.
#[derive(Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    AddUser { uid: String, password: Option<String> },
    SetPassword { uid: String, password: String },
    DisableUser { uid: String },
    EnableUser { uid: String },
    RevokeUser { uid: String },
    ListUsers { after: u32 },
    MintToken { uid: String, ttl_s: u64, device: Option<String> },
    Trace { uid: String, message: trace::Message },
    Backup { path: PathBuf },
    Compact,
}

/// What comes back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    Done,
    Token(String),
    Users {
        users: Vec<User>,
        /// Ask again after this one; none: that was all.
        next: Option<u32>,
    },
    Backup {
        rows: u64,
        bytes: u64,
    },
    Trace(Box<Trace>),
    Error(String),
}

/// One line of `hongyan user list`.
#[derive(Debug, Serialize, Deserialize)]
pub struct User {
    pub uid: String,
    pub disabled: bool,
    pub has_password: bool,
    pub devices_online: usize,
    pub created_ms: u64,
}

/// Where the socket of a data directory is.
pub fn socket_path(data: &Path) -> PathBuf {
    data.join("admin.sock")
}

/// Does what was asked for.
pub async fn execute(core: &Arc<Core>, request: Request) -> Response {
    try_execute(core, request).await.unwrap_or_else(Response::Error)
}

async fn try_execute(core: &Arc<Core>, request: Request) -> Result<Response, String> {
    let change = match request {
        Request::AddUser { uid, password } => {
            let password_hash = match password {
                Some(password) => Some(hash(core, password).await?),
                None => None,
            };
            (uid, AccountAction::Add { password_hash })
        }
        Request::SetPassword { uid, password } => {
            (uid, AccountAction::SetPassword { password_hash: hash(core, password).await? })
        }
        Request::DisableUser { uid } => (uid, AccountAction::Disable),
        Request::EnableUser { uid } => (uid, AccountAction::Enable),
        Request::RevokeUser { uid } => (uid, AccountAction::Revoke),
        Request::ListUsers { after } => return list_users(core, after).await,
        Request::MintToken { uid, ttl_s, device } => {
            return mint_token(core, &uid, Duration::from_secs(ttl_s), device).await;
        }
        Request::Trace { uid, message } => {
            let traced = trace::trace(core, &uid, message).await;
            return traced.map(Box::new).map(Response::Trace).map_err(|error| error.to_string());
        }
        Request::Backup { path } => return backup(core, path).await,
        Request::Compact => {
            upkeep::purge(core).await.map_err(|error| error.to_string())?;
            return Ok(Response::Done);
        }
    };
    change_account(core, &change.0, change.1).await?;
    Ok(Response::Done)
}

async fn hash(core: &Core, password: String) -> Result<String, String> {
    core.gate.passwords.hash(Secret::from(password)).await.map_err(|error| error.to_string())
}

async fn change_account(core: &Core, uid: &str, action: AccountAction) -> Result<Uid, String> {
    let uid = Uid::new(uid).map_err(|error| error.to_string())?;
    accounts::change(core, &uid, action).await.map_err(|error| error.to_string())?;
    Ok(uid)
}

/// A token for a user who exists from now on.
async fn mint_token(core: &Core, uid: &str, ttl: Duration, device: Option<String>) -> Result<Response, String> {
    let uid = change_account(core, uid, AccountAction::Ensure).await?;
    let device = device.map(|device| DeviceName::new(&device)).transpose().map_err(|error| error.to_string())?;
    let account = core.log.account_of(&uid).await.map_err(|error| error.to_string())?;
    let epoch = account.map_or(0, |(_, account)| account.revocation_epoch);
    let device = device.as_ref().map(DeviceName::as_str);
    let token = core.gate.tokens.mint(uid.as_str(), ttl, device, epoch, core.environment.unix_ms() / 1000);
    token.map(Response::Token).map_err(|error| error.to_string())
}

async fn list_users(core: &Core, after: u32) -> Result<Response, String> {
    let accounts = core.log.accounts(after, USERS_PER_PAGE).await.map_err(|error| error.to_string())?;
    let next = accounts.last().filter(|_| accounts.len() == USERS_PER_PAGE).map(|(no, _)| no.0);
    let users = accounts.into_iter().map(|(no, account)| User {
        uid: account.uid,
        disabled: account.disabled,
        has_password: !account.password_hash.is_empty(),
        devices_online: core.sessions.channels(no).len(),
        created_ms: account.created_ms,
    });
    Ok(Response::Users { users: users.collect(), next })
}

async fn backup(core: &Arc<Core>, path: PathBuf) -> Result<Response, String> {
    let core = core.clone();
    let done = tokio::task::spawn_blocking(move || archive::export_to_file(core.log.engine(), &path)).await;
    let summary = done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok(Response::Backup { rows: summary.rows, bytes: summary.bytes })
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
pub async fn run(listener: UnixListener, core: Arc<Core>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, core.clone()))),
            Err(error) => {
                tracing::warn!(%error, "the admin socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(mut stream: UnixStream, core: Arc<Core>) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    BufReader::new(reader.take(MAX_REQUEST)).read_line(&mut line).await?;
    let response = match serde_json::from_str(&line) {
        Ok(request) => execute(&core, request).await,
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
