//! Keeping timelines short: what every device has, and nothing else asks for, goes.

use bytes::Bytes;
use hongyan_proto::canary;

use crate::{
    base::number::UserNo,
    committer::state::Committer,
    log::keys,
    store::{Scan, Table},
};

/// A timeline is trimmed in steps of at least so many entries, so that it costs little.
const TRIM_STEP: u64 = 256;
/// Runs that one step removes at most.
const TRIM_RUNS: usize = 256;

impl Committer {
    /// Removes the runs of a timeline that every device has and the retention does not ask for. The newest run stays,
    /// so that the rows alone tell where the timeline ends.
    pub async fn trim(&mut self, no: UserNo) {
        let Some(user) = self.users.get(&no) else { return };
        let low = user.bounds.low;
        // What has no receipt yet is still needed to write it.
        let settled = user.acked_by_all().min(user.account.receipted_useq);
        let settled = if canary::is("trim-unacked") { u64::MAX } else { settled };
        let target = settled.min(user.bounds.head.saturating_sub(self.settings.timeline_entries));
        if target < low + TRIM_STEP {
            return;
        }
        let scan = Scan {
            table: Table::Timelines,
            // Not from the beginning: what was removed lately is still in the engine's way there.
            from: keys::run(no, low + 1),
            to: keys::run(no, target + 1),
            limit: TRIM_RUNS,
            descending: false,
        };
        // A timeline that cannot be read now is trimmed another time.
        let Ok(rows) = self.log.engine().scan(scan).await else { return };
        let keys: Vec<Bytes> = rows.into_iter().map(|(key, _)| key).collect();
        // A run ends where the next one begins, so the last of these is kept.
        let Some((first_kept, removed)) = keys.split_last() else { return };
        let Ok(first_kept) = keys::parse_second_of_user(first_kept) else { return };
        for key in removed {
            self.batch.remove(Table::Timelines, key.clone());
        }
        if let Some(user) = self.users.get_mut(&no) {
            user.bounds.low = first_kept - 1;
        }
        // Who comes back by the cursor in the log must not find it before the beginning.
        self.hurry(no);
    }
}
