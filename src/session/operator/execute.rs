//! Doing what an operator asks for: users, tokens, backups. The same on a running server and on a stopped one's files.

use std::{path::PathBuf, time::Duration};

use hongyan_proto::{DeviceName, Uid};

use super::{
    request::{Request, Response, User},
    trace,
};
use crate::{
    auth::Secret,
    base::environment::Environment,
    committer::{CommitQueue, op::AccountAction},
    live::sessions::Sessions,
    log::Log,
    session::{accounts, gate::Gate, upkeep},
};

/// Users in one answer.
const USERS_PER_PAGE: usize = 1000;

/// What operators reach.
#[derive(Clone, Copy)]
pub struct Reach<'a> {
    pub gate: &'a Gate,
    pub queue: &'a CommitQueue,
    pub log: &'a Log,
    pub sessions: &'a Sessions,
    pub environment: &'a dyn Environment,
}

/// Does what was asked for.
pub async fn execute(reach: Reach<'_>, request: Request) -> Response {
    try_execute(reach, request).await.unwrap_or_else(Response::Error)
}

async fn try_execute(reach: Reach<'_>, request: Request) -> Result<Response, String> {
    let Reach { gate, queue, log, sessions, environment } = reach;
    let change = match request {
        Request::AddUser { uid, password } => {
            let password_hash = match password {
                Some(password) => Some(hash(gate, password).await?),
                None => None,
            };
            (uid, AccountAction::Add { password_hash })
        }
        Request::SetPassword { uid, password } => {
            (uid, AccountAction::SetPassword { password_hash: hash(gate, password).await? })
        }
        Request::DisableUser { uid } => (uid, AccountAction::Disable),
        Request::EnableUser { uid } => (uid, AccountAction::Enable),
        Request::RevokeUser { uid } => (uid, AccountAction::Revoke),
        Request::ListUsers { after } => return list_users(log, sessions, after).await,
        Request::MintToken { uid, ttl_s, device } => {
            return mint_token(reach, &uid, Duration::from_secs(ttl_s), device).await;
        }
        Request::Trace { uid, message } => {
            let traced = trace::trace(log, sessions, &uid, message).await;
            return traced.map(Box::new).map(Response::Trace).map_err(|error| error.to_string());
        }
        Request::Backup { path } => return backup(log, path).await,
        Request::Compact => {
            upkeep::purge(log, queue, environment).await.map_err(|error| error.to_string())?;
            return Ok(Response::Done);
        }
    };
    change_account(queue, &change.0, change.1).await?;
    Ok(Response::Done)
}

async fn hash(gate: &Gate, password: String) -> Result<String, String> {
    gate.passwords.hash(Secret::from(password)).await.map_err(|error| error.to_string())
}

async fn change_account(queue: &CommitQueue, uid: &str, action: AccountAction) -> Result<Uid, String> {
    let uid = Uid::new(uid).map_err(|error| error.to_string())?;
    accounts::change(queue, &uid, action).await.map_err(|error| error.to_string())?;
    Ok(uid)
}

/// A token for a user who exists from now on.
async fn mint_token(
    Reach { gate, queue, log, environment, .. }: Reach<'_>,
    uid: &str,
    ttl: Duration,
    device: Option<String>,
) -> Result<Response, String> {
    let uid = change_account(queue, uid, AccountAction::Ensure).await?;
    let device = device.map(|device| DeviceName::new(&device)).transpose().map_err(|error| error.to_string())?;
    let account = log.account_of(&uid).await.map_err(|error| error.to_string())?;
    let epoch = account.map_or(0, |(_, account)| account.revocation_epoch);
    let device = device.as_ref().map(DeviceName::as_str);
    let token = gate.tokens.mint(uid.as_str(), ttl, device, epoch, environment.unix_ms() / 1000);
    token.map(Response::Token).map_err(|error| error.to_string())
}

async fn list_users(log: &Log, sessions: &Sessions, after: u32) -> Result<Response, String> {
    let accounts = log.accounts(after, USERS_PER_PAGE).await.map_err(|error| error.to_string())?;
    let next = accounts.last().filter(|_| accounts.len() == USERS_PER_PAGE).map(|(no, _)| no.0);
    let users = accounts.into_iter().map(|(no, account)| User {
        uid: account.uid,
        disabled: account.disabled,
        has_password: !account.password_hash.is_empty(),
        devices_online: sessions.channels(no).len(),
        created_ms: account.created_ms,
    });
    Ok(Response::Users { users: users.collect(), next })
}

async fn backup(log: &Log, path: PathBuf) -> Result<Response, String> {
    let log = log.clone();
    let done = tokio::task::spawn_blocking(move || log.export_to_file(&path)).await;
    let summary = done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok(Response::Backup { rows: summary.rows, bytes: summary.bytes })
}
