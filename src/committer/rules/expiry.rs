//! Messages that disappear after a time: when, and taking their bodies out of the store.

use hongyan_proto::wire::{self, Gone};

use crate::{
    base::{environment::Now, number::ConversationNo},
    committer::state::Committer,
    log::keys::{self, meta},
    store::{Scan, StoreError, Table},
};

/// Messages that one step takes out.
const STEP: usize = 256;

impl Committer {
    /// Notes when a new message goes, if it does.
    pub fn with_expiry(
        &mut self,
        no: ConversationNo,
        cseq: u64,
        extras: Option<Box<wire::Extras>>,
        now: Now,
    ) -> Option<Box<wire::Extras>> {
        let asked = extras.as_ref().map_or(0, |extras| extras.expires_after_s);
        let after_s = if asked == 0 { self.conversations[&no].record.disappear_after_s } else { asked };
        if after_s == 0 {
            return extras;
        }
        let mut extras = extras.unwrap_or_default();
        extras.expires_after_s = after_s;
        extras.expires_ms = now.unix_ms.saturating_add(u64::from(after_s) * 1000);
        self.batch.put(Table::Expiry, keys::expiry(extras.expires_ms, no, cseq), bytes::Bytes::new());
        self.due.expect_expiry(extras.expires_ms, now);
        Some(extras)
    }

    /// Takes out what has fallen due, of what is committed: so before the batch under way adds to it.
    pub async fn stage_expired(&mut self, now: Now) -> Result<(), StoreError> {
        if self.due.knows_expiry && self.due.expiry.is_none_or(|due| due > now.instant) {
            return Ok(());
        }
        self.due.try_expiry_again(now);
        let scan = Scan { table: Table::Expiry, from: keys::number(0), to: keys::END, limit: STEP, descending: false };
        let rows = self.log.engine().scan(scan).await?;
        let is_all = rows.len() < STEP;
        let mut later = None;
        for (key, _) in rows {
            let (expires_ms, no, cseq) = keys::parse_expiry(&key)?;
            if expires_ms > now.unix_ms {
                later = Some(expires_ms);
                break;
            }
            self.take_body(no, cseq, Gone::Expired, 0, now).await?;
            self.batch.remove(Table::Expiry, key);
            self.is_urgent = true;
        }
        self.due.knows_expiry = true;
        self.due.expiry = (!is_all && later.is_none()).then_some(now.instant);
        if let Some(expires_ms) = later {
            self.due.expect_expiry(expires_ms, now);
        }
        Ok(())
    }

    /// Leaves of a message only who wrote it and when.
    pub async fn take_body(
        &mut self,
        no: ConversationNo,
        cseq: u64,
        gone: Gone,
        recalled_cseq: u64,
        now: Now,
    ) -> Result<(), StoreError> {
        let Some(mut place) = self.message_place(no, cseq).await? else { return Ok(()) };
        let Some(mut message) = self.message_at(no, &mut place, cseq)? else { return Ok(()) };
        if message.act.is_some() || message.extras.as_ref().is_some_and(|extras| extras.gone != 0) {
            return Ok(());
        }
        message.content = bytes::Bytes::new();
        message.extras = Some(Box::new(wire::Extras { gone: gone.into(), recalled_cseq, ..Default::default() }));
        self.replace(no, place, message);
        self.batch.remove(Table::Reactions, keys::message(no, cseq));
        self.note_old_body(now);
        Ok(())
    }

    /// The batch overwrites a body, which stays in the store's files until they are purged.
    pub fn note_old_body(&mut self, now: Now) {
        self.newest_old_body_ms = now.unix_ms;
        if self.old_bodies_ms == 0 {
            self.old_bodies_ms = now.unix_ms;
            self.put_meta(meta::OLD_BODIES, now.unix_ms);
        }
    }

    /// What went before `began_ms` has left the files; what went since may not have.
    pub fn note_purge(&mut self, began_ms: u64) {
        self.old_bodies_ms = if self.newest_old_body_ms >= began_ms { began_ms } else { 0 };
        self.put_meta(meta::OLD_BODIES, self.old_bodies_ms);
        self.is_urgent = true;
    }
}
