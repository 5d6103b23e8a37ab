//! How far the loading of the conversation list has come, and after a reset of what this device has missed. What is
//! done with the answers is in `loading.rs`.

use std::collections::{HashSet, VecDeque};

use hongyan_proto::wire::{self, request::Op};

const PAGE: u32 = 200;

#[derive(Default)]
pub(crate) struct Reload {
    pub step: Step,
    /// Conversations of the list that are still to be loaded.
    pub todo: VecDeque<String>,
    /// Conversations that are loaded; from then on their pushes only go on from there.
    pub loaded: HashSet<String>,
    /// What has come of the conversation in question, in rising cseq.
    pub collected: Vec<wire::Entry>,
}

#[derive(Default)]
pub(crate) enum Step {
    #[default]
    Off,
    /// To be asked when there is a connection, and room for what comes.
    Ready(Ask),
    Asked(Ask),
    /// The pages are here. Whether this device has sent what they hold is told by the answers up to `until`.
    Answers {
        peer: String,
        until: u64,
    },
}

pub(crate) enum Ask {
    List { after: u64 },
    Page { peer: String, after: u64, before: u64 },
}

impl Ask {
    pub fn op(&self) -> Op {
        match self {
            Ask::List { after } => {
                Op::Conversations(wire::ConversationsRequest { after: *after, limit: PAGE, ..Default::default() })
            }
            Ask::Page { peer, after, before } => Op::History(wire::HistoryRequest {
                conversation: peer.clone(),
                after: *after,
                before: *before,
                limit: PAGE,
                forward: false,
                around: 0,
            }),
        }
    }
}
