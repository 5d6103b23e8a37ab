//! Reading a user's timeline: runs of references. What these stand for is in `entries`.

use bytes::Bytes;

use super::{
    keys,
    record::{EntryRef, RunRecord},
    rows::{Log, parse},
};
use crate::{
    base::number::UserNo,
    store::{Scan, StoreError, Table},
};

/// Where a timeline begins and ends: entries `low + 1 ..= head` are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Bounds {
    pub low: u64,
    pub head: u64,
}

impl Log {
    /// The newest run is never trimmed, so the rows alone tell where a timeline ends.
    pub async fn bounds(&self, user: UserNo) -> Result<Bounds, StoreError> {
        let (from, to) = (keys::run(user, 0), keys::after_user(user));
        let first = Scan { table: Table::Timelines, from, to, limit: 1, descending: false };
        let last = Scan { descending: true, ..first.clone() };
        let Some((last_key, last_run)) = self.engine().scan(last).await?.pop() else { return Ok(Bounds::default()) };
        let first_key = match self.engine().scan(first).await?.pop() {
            Some((key, _)) => key,
            None => last_key.clone(),
        };
        let run: RunRecord = parse(&last_run)?;
        // A run holds at least one entry, or it was never written.
        let head = keys::parse_second_of_user(&last_key)? - 1 + run.refs.len() as u64;
        Ok(Bounds { low: keys::parse_second_of_user(&first_key)? - 1, head })
    }

    /// References to the entries with `after < useq <= upto`, at most `limit`. They begin later than `after + 1` only if
    /// older ones have been trimmed.
    pub async fn refs(
        &self,
        user: UserNo,
        after: u64,
        upto: u64,
        limit: usize,
    ) -> Result<Vec<(u64, EntryRef)>, StoreError> {
        let mut refs = Vec::new();
        if after >= upto || limit == 0 {
            return Ok(refs);
        }
        let mut from = self.run_of(user, after + 1).await?;
        let to = keys::run(user, upto.saturating_add(1));
        // A run holds at least one entry, mostly more: a few scans do.
        while refs.len() < limit {
            let (table, limit_rows) = (Table::Timelines, (limit - refs.len()).min(64));
            let rows =
                self.engine().scan(Scan { table, from, to: to.clone(), limit: limit_rows, descending: false }).await?;
            let Some((last_key, _)) = rows.last() else { break };
            from = keys::run(user, keys::parse_second_of_user(last_key)? + 1);
            for (key, value) in rows {
                let first = keys::parse_second_of_user(&key)?;
                let run: RunRecord = parse(&value)?;
                refs.extend((first..).zip(run.refs).filter(|(useq, _)| (after + 1..=upto).contains(useq)));
            }
        }
        refs.truncate(limit);
        Ok(refs)
    }

    /// The key at which to begin in order to meet entry `useq`: that of the run it is in.
    async fn run_of(&self, user: UserNo, useq: u64) -> Result<Bytes, StoreError> {
        let (from, to) = (keys::run(user, 0), keys::run(user, useq.saturating_add(1)));
        let scan = Scan { table: Table::Timelines, from: from.clone(), to, limit: 1, descending: true };
        Ok(self.engine().scan(scan).await?.pop().map_or(from, |(key, _)| key))
    }

    /// References to entries below `below`, newest first: those of at most `runs` runs.
    pub async fn newest_refs(&self, user: UserNo, below: u64, runs: usize) -> Result<Vec<(u64, EntryRef)>, StoreError> {
        let (from, to) = (keys::run(user, 0), keys::run(user, below));
        let rows =
            self.engine().scan(Scan { table: Table::Timelines, from, to, limit: runs, descending: true }).await?;
        let mut refs = Vec::new();
        for (key, value) in rows {
            let first = keys::parse_second_of_user(&key)?;
            let run: RunRecord = parse(&value)?;
            let numbered: Vec<_> = (first..).zip(run.refs).collect();
            refs.extend(numbered.into_iter().rev().filter(|(useq, _)| *useq < below));
        }
        Ok(refs)
    }
}
