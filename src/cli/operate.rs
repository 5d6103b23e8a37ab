//! The operator's commands: on the running server through its admin socket, else on the data directory itself.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::command::{StoreAction, TokenRequest, TraceRequest, Traced, UserAction};
use crate::{
    config::Config,
    edge::admin,
    host::{
        assemble::OpenError,
        inspect::{self, InspectError},
        open,
        restore::{self, RestoreError},
    },
    session::operator::{Request, Response, User, trace::Message},
};

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Inspect(#[from] InspectError),
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error("cannot open {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot talk to the running server: {0}")]
    Socket(io::Error),
    #[error("cannot read the password from standard input: {0}")]
    Password(io::Error),
    #[error("{0}")]
    Refused(String),
    #[error("{0} rows or references are wrong; restore the newest backup, or report this")]
    Damaged(u64),
    #[error("the command line cannot be written to: {0}")]
    Output(#[from] io::Error),
}

/// `hongyan user …`.
pub async fn user(config: &Config, action: UserAction) -> Result<(), OperateError> {
    let request = match action {
        UserAction::Add { uid, password_stdin } => {
            let password = if password_stdin { Some(read_password()?) } else { None };
            Request::AddUser { uid: uid.as_str().into(), password }
        }
        UserAction::Passwd { uid } => Request::SetPassword { uid: uid.as_str().into(), password: read_password()? },
        UserAction::Disable { uid } => Request::DisableUser { uid: uid.as_str().into() },
        UserAction::Enable { uid } => Request::EnableUser { uid: uid.as_str().into() },
        UserAction::Revoke { uid } => Request::RevokeUser { uid: uid.as_str().into() },
        UserAction::List { json } => return list_users(config, json).await,
    };
    perform(config, request).await.map(drop)
}

/// `hongyan token`: the token alone on stdout.
pub async fn token(config: &Config, request: TokenRequest) -> Result<(), OperateError> {
    let device = request.device.map(|device| device.as_str().to_owned());
    let request = Request::MintToken { uid: request.uid.as_str().into(), ttl_s: request.ttl.as_secs(), device };
    if let Response::Token(token) = perform(config, request).await? {
        writeln!(io::stdout(), "{token}")?;
    }
    Ok(())
}

/// `hongyan trace`.
pub async fn trace(config: &Config, request: TraceRequest) -> Result<(), OperateError> {
    let TraceRequest { uid, message, json } = request;
    let message = match message {
        Traced::Numbered { conversation, cseq } => Message::Numbered { conversation: conversation.to_string(), cseq },
        Traced::Sent { device, send_no } => Message::Sent { device: device.as_str().into(), send_no },
    };
    if let Response::Trace(trace) = perform(config, Request::Trace { uid: uid.as_str().into(), message }).await? {
        let mut out = io::stdout();
        match json {
            true => {
                serde_json::to_writer(&mut out, &trace).map_err(io::Error::from)?;
                writeln!(out)?;
            }
            false => write!(out, "{trace}")?,
        }
    }
    Ok(())
}

/// `hongyan store …`.
pub async fn store(config: &Config, action: StoreAction) -> Result<(), OperateError> {
    match action {
        StoreAction::Backup(path) | StoreAction::Export(path) => {
            let path = std::path::absolute(&path).map_err(|source| OperateError::File { path, source })?;
            if let Response::Backup { rows, bytes } = perform(config, Request::Backup { path: path.clone() }).await? {
                writeln!(io::stdout(), "{rows} rows, {bytes} bytes in {}", path.display())?;
            }
        }
        StoreAction::Import(path) => {
            let file = File::open(&path).map_err(|source| OperateError::File { path, source })?;
            let summary = restore::restore(config, file).await?;
            writeln!(io::stdout(), "{} rows restored, with a new log epoch", summary.rows)?;
        }
        StoreAction::Verify => return verify_store(config),
        StoreAction::Compact => {
            perform(config, Request::Compact).await?;
            writeln!(io::stdout(), "what was taken back before has left the store's files")?;
        }
    }
    Ok(())
}

fn verify_store(config: &Config) -> Result<(), OperateError> {
    let report = inspect::verify(config)?;
    let mut out = io::stdout();
    for problem in &report.problems {
        writeln!(out, "{problem}")?;
    }
    writeln!(out, "{} users, {} messages, {} timeline entries", report.users, report.messages, report.entries)?;
    match report.found {
        0 => Ok(writeln!(out, "ok")?),
        found => Err(OperateError::Damaged(found)),
    }
}

async fn list_users(config: &Config, json: bool) -> Result<(), OperateError> {
    let mut after = Some(0);
    while let Some(from) = after {
        let Response::Users { users, next } = perform(config, Request::ListUsers { after: from }).await? else { break };
        for user in users {
            print_user(&user, json)?;
        }
        after = next;
    }
    Ok(())
}

fn print_user(user: &User, json: bool) -> io::Result<()> {
    let mut out = io::stdout();
    if json {
        serde_json::to_writer(&mut out, user)?;
        return writeln!(out);
    }
    let password = if user.has_password { "password" } else { "tokens only" };
    let state = if user.disabled { "disabled" } else { "enabled" };
    writeln!(out, "{}\t{state}\t{password}\t{} online", user.uid, user.devices_online)
}

/// On the running server if there is one, else on its data.
async fn perform(config: &Config, request: Request) -> Result<Response, OperateError> {
    let response = match ask_running(&config.data, &request).await? {
        Some(response) => response,
        None => {
            let opened = open::open(config).await?;
            let response = opened.service.operate(request).await;
            opened.close().await;
            response
        }
    };
    match response {
        Response::Error(message) => Err(OperateError::Refused(message)),
        response => Ok(response),
    }
}

async fn ask_running(data: &Path, request: &Request) -> Result<Option<Response>, OperateError> {
    admin::ask(data, request).await.map_err(OperateError::Socket)
}

/// One line, without its end.
fn read_password() -> Result<String, OperateError> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(OperateError::Password)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
