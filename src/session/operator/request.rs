//! What an operator asks of a server, and what comes back.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::trace;

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
    Trace(Box<trace::Trace>),
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
