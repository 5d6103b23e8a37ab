//! Messages of a conversation: a page of them, or some by their numbers.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

use hongyan_proto::wire::{self, entry::Item, response};
use prost::Message;

use super::asker::{Answer, Asker, Problem, ROW_RESERVE, invalid, page_limit};
use crate::log::{HistoryRange, ReactionsRecord, View};

/// Messages asked for by number at once.
const MAX_MESSAGES: usize = 100;

/// A message of a page, with what has been said to it by a gesture.
struct Row {
    entry: wire::Entry,
    cseq: u64,
    reactions: Option<wire::Reactions>,
}

impl Row {
    fn size(&self) -> usize {
        let reactions = self.reactions.as_ref().map_or(0, |reactions| reactions.encoded_len() + ROW_RESERVE);
        self.entry.encoded_len() + ROW_RESERVE + reactions
    }
}

/// Which end of a page gives way where it does not fit: the one that is farther from this row.
enum Anchor {
    First,
    Last,
    At(u64),
}

pub async fn history(asker: &Asker<'_>, request: wire::HistoryRequest) -> Answer {
    let limit = page_limit(request.limit)?;
    let Some(view) = asker.view(&request.conversation).await? else {
        return Ok(response::Result::History(wire::HistoryPage::default()));
    };
    let wire::HistoryRequest { after, before, forward, around, .. } = request;
    let (messages, is_cut, anchor) = match around {
        0 => {
            // One more than asked for tells whether there is more.
            let range = HistoryRange { after, before, limit: limit + 1, forward };
            let (messages, is_cut) = asker.log.seen_history(&view, range, asker.room()).await?;
            (messages, is_cut, if forward { Anchor::First } else { Anchor::Last })
        }
        cseq => (page_around(asker, &view, cseq, limit).await?, false, Anchor::At(cseq)),
    };
    let mut rows = rows(asker, &view, messages).await?;
    let has_more = rows.len() > limit && shed_one(&mut rows, &anchor);
    let has_shed = shed(&mut rows, &anchor, asker.room());
    let head = *view.visible.end();
    let more = match anchor {
        Anchor::At(_) => rows.back().is_some_and(|last| last.cseq < head),
        _ => is_cut || has_more || has_shed,
    };
    Ok(response::Result::History(page(rows, head, more)))
}

/// Half of a page before a message, it, and half behind it.
async fn page_around(asker: &Asker<'_>, view: &View, cseq: u64, limit: usize) -> Result<Vec<wire::Message>, Problem> {
    let before = HistoryRange { after: 0, before: cseq, limit: limit / 2, forward: false };
    let behind = HistoryRange { after: cseq - 1, before: 0, limit: limit - limit / 2, forward: true };
    let (mut messages, _) = asker.log.seen_history(view, before, asker.room()).await?;
    messages.extend(asker.log.seen_history(view, behind, asker.room()).await?.0);
    Ok(messages)
}

pub async fn messages(asker: &Asker<'_>, request: wire::MessagesRequest) -> Answer {
    if request.cseqs.len() > MAX_MESSAGES {
        return Err(invalid("cseqs: at most 100"));
    }
    let Some(view) = asker.view(&request.conversation).await? else {
        return Ok(response::Result::Messages(wire::HistoryPage::default()));
    };
    let mut cseqs = request.cseqs;
    cseqs.sort_unstable();
    cseqs.dedup();
    let (mut messages, mut bytes, mut is_cut) = (Vec::with_capacity(cseqs.len()), 0, false);
    for cseq in cseqs {
        if bytes >= asker.room() {
            is_cut = true;
            break;
        }
        if let Some(message) = asker.log.seen_message(&view, cseq).await? {
            bytes += message.encoded_len();
            messages.push(message);
        }
    }
    let mut rows = rows(asker, &view, messages).await?;
    let more = shed(&mut rows, &Anchor::First, asker.room()) || is_cut;
    Ok(response::Result::Messages(page(rows, *view.visible.end(), more)))
}

async fn rows(asker: &Asker<'_>, view: &View, messages: Vec<wire::Message>) -> Result<VecDeque<Row>, Problem> {
    let mut rows = VecDeque::with_capacity(messages.len());
    for message in messages {
        let cseq = message.cseq;
        let found = asker.log.reactions(view.no, cseq).await?;
        // What was reacted after a former member had gone is kept from them.
        let shown = found.filter(|record| record.as_of_cseq <= *view.visible.end());
        let reactions = shown.map(|record| overlay(asker, cseq, record));
        let entry = wire::Entry { item: Some(Item::Message(message)), ..Default::default() };
        rows.push_back(Row { entry, cseq, reactions });
    }
    Ok(rows)
}

/// The reactions to a message as the asker sees them, the most frequent first.
fn overlay(asker: &Asker<'_>, cseq: u64, record: ReactionsRecord) -> wire::Reactions {
    let (mut mine, mut counted) = (String::new(), BTreeMap::<String, u32>::new());
    for reaction in record.reactions {
        if reaction.user == asker.user().0 {
            mine.clone_from(&reaction.reaction);
        }
        *counted.entry(reaction.reaction).or_default() += 1;
    }
    let counts = counted.into_iter().map(|(reaction, count)| wire::ReactionCount { reaction, count });
    let mut counts: Vec<_> = counts.collect();
    counts.sort_by_key(|reaction| Reverse(reaction.count));
    wire::Reactions { cseq, counts, mine, as_of_cseq: record.as_of_cseq }
}

fn page(rows: VecDeque<Row>, head_cseq: u64, more: bool) -> wire::HistoryPage {
    let mut page = wire::HistoryPage { head_cseq, more, ..Default::default() };
    for row in rows {
        page.entries.push(row.entry);
        page.reactions.extend(row.reactions);
    }
    page
}

/// Takes rows away until the others fit. The last one stays, if need be without its rarest reactions. True: some went.
fn shed(rows: &mut VecDeque<Row>, anchor: &Anchor, room: usize) -> bool {
    let mut has_shed = false;
    while rows.len() > 1 && rows.iter().map(Row::size).sum::<usize>() > room {
        has_shed |= shed_one(rows, anchor);
    }
    if let Some(row) = rows.front_mut() {
        while row.size() > room
            && let Some(reactions) = &mut row.reactions
            && reactions.counts.pop().is_some()
        {}
    }
    has_shed
}

fn shed_one(rows: &mut VecDeque<Row>, anchor: &Anchor) -> bool {
    let is_back = match anchor {
        Anchor::First => true,
        Anchor::Last => false,
        Anchor::At(cseq) => {
            let behind = rows.iter().filter(|row| row.cseq > *cseq).count();
            behind >= rows.len() - behind
        }
    };
    if is_back { rows.pop_back().is_some() } else { rows.pop_front().is_some() }
}
