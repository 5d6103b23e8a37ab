//! Who asks, what they may see, and why a request has no result.

use std::sync::Arc;

use hongyan_proto::{
    ConversationId, Uid,
    wire::{FailureCode, response},
};

use crate::{
    base::number::UserNo,
    live::{channel::Channel, sessions::Sessions},
    log::{Log, View},
    session::presence::Presence,
    store::StoreError,
};

/// Rows of a page, if a request does not say how many, and at the most.
const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;

/// What surrounds the rows of a page in its frame, at the most.
const FRAME_RESERVE: usize = 512;

/// What surrounds one row of a page, at the most.
pub(super) const ROW_RESERVE: usize = 6;

/// The device that asks, its authenticated user, and where the answer is looked for.
pub struct Asker<'a> {
    pub log: &'a Log,
    pub sessions: &'a Sessions,
    pub presence: &'a Presence,
    pub channel: &'a Arc<Channel>,
    pub uid: &'a Uid,
    /// The answer has to fit.
    pub max_frame: u32,
}

impl Asker<'_> {
    pub(super) fn user(&self) -> UserNo {
        self.channel.user
    }

    /// Bytes that the rows of a page may take.
    pub(super) fn room(&self) -> usize {
        self.max_frame as usize - FRAME_RESERVE
    }

    /// The conversation that the user calls `name`. None: they have none with that user, whether or not the user exists.
    pub(super) async fn view(&self, name: &str) -> Result<Option<View>, Problem> {
        let id = ConversationId::new(name);
        let id = id.map_err(|_| invalid("conversation: write a uid, or # and the number of a group"))?;
        match (self.log.view(self.user(), &id).await?, id) {
            (None, ConversationId::Group(_)) => Err(not_found("there is no such group")),
            (view, _) => Ok(view),
        }
    }
}

/// Why a request has no result.
pub(super) enum Problem {
    Refused(FailureCode, &'static str),
    Store(StoreError),
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(super) type Answer = Result<response::Result, Problem>;

/// How many rows a page may have.
pub(super) fn page_limit(asked: u32) -> Result<usize, Problem> {
    let limit = if asked == 0 { DEFAULT_LIMIT } else { asked };
    if limit <= MAX_LIMIT { Ok(limit as usize) } else { Err(invalid("limit: 1 to 200")) }
}

pub(super) fn invalid(reason: &'static str) -> Problem {
    Problem::Refused(FailureCode::FailureInvalid, reason)
}

pub(super) fn not_found(reason: &'static str) -> Problem {
    Problem::Refused(FailureCode::FailureNotFound, reason)
}

pub(super) fn forbidden(reason: &'static str) -> Problem {
    Problem::Refused(FailureCode::FailureForbidden, reason)
}
