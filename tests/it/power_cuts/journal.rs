//! Power cuts beside the zeros that the store writes ahead of its journal's end, which it does in new journals only: so a new
//! store for each cut, and commits large enough that the zeros are used up and written again. The engine is asked here
//! without a server, which makes a cut cheap.

use std::{fs::File, ops::ControlFlow, path::Path};

use futures_util::FutureExt as _;
use hongyan::store::{
    Batch, Durability, Engine as _, StoreError, Table,
    fjall::{FjallEngine, FjallOptions},
};
use hongyan_client::Bytes;
use rand::{RngExt as _, rngs::StdRng};
use rustix::fs::{SeekFrom, seek};

use super::{SHARES, mount::Mounted};
use crate::schedule::Schedule;

const CUTS: usize = 200;
/// The power goes before one of so many changes and syncs. A commit is some three of them, and zeros are written every
/// two hundred commits.
const CHANGES: u64 = 2000;
/// The zeros go no further ahead of commits that are larger than 16 KiB.
const LONGEST_VALUE: usize = 20 * 1024;

fn open(path: &Path) -> Result<FjallEngine, StoreError> {
    FjallEngine::open(path, FjallOptions::default())
}

fn value(random: &mut StdRng) -> Bytes {
    let mut value = vec![0; random.random_range(1..=LONGEST_VALUE)];
    random.fill(&mut value[..]);
    value.into()
}

/// Commits until the power goes: what was under way last may be there or not.
fn commit_until_cut(engine: &FjallEngine, random: &mut StdRng) -> Vec<Bytes> {
    let mut values = Vec::new();
    loop {
        values.push(value(random));
        let mut batch = Batch::default();
        let number = values.len() as u64;
        batch.put(Table::Messages, Bytes::copy_from_slice(&number.to_be_bytes()), values[values.len() - 1].clone());
        let committed = engine.commit(batch, Durability::Synced).now_or_never().expect("it does not wait");
        if committed.is_err() {
            return values;
        }
    }
}

fn stored(engine: &FjallEngine) -> Vec<Bytes> {
    let mut values = Vec::new();
    let mut note = |_, _: &[u8], value: &[u8]| {
        values.push(Bytes::copy_from_slice(value));
        ControlFlow::Continue(())
    };
    engine.dump(&mut note).unwrap();
    values
}

/// Bytes of zeros that stand on the disk behind the journal's end.
fn ahead(journal: &Path) -> u64 {
    let bytes = std::fs::read(journal).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1) as u64;
    let hole = seek(File::open(journal).unwrap(), SeekFrom::Hole(0)).unwrap();
    hole.saturating_sub(end.next_multiple_of(4096))
}

#[test]
#[ignore = "mounts a file system: needs /dev/fuse, and root or fusermount3"]
fn a_power_cut_beside_the_zeros_ahead_of_the_journal_loses_nothing() {
    let mut schedule = Schedule::new("power_cuts::journal");
    let cuts = Schedule::kills(CUTS);
    let (mut committed, mut with_zeros) = (0, 0);
    for cut in 1..=cuts {
        let place = tempfile::Builder::new().prefix("hy").tempdir().unwrap();
        let store = place.path().join("store");
        let mut disk = Mounted::new(place.path());
        let engine = open(&store).unwrap();
        disk.cut_after(schedule.random().random_range(0..CHANGES));
        let values = commit_until_cut(&engine, schedule.random());
        drop(engine);
        disk.power_on(schedule.random(), SHARES[cut % SHARES.len()]);
        with_zeros += usize::from(ahead(&store.join("0.jnl")) > 0);
        let found = stored(&open(&store).unwrap_or_else(|error| panic!("cut {cut}: {error}")));
        let acknowledged = values.len() - 1;
        assert!(found == values || found == values[..acknowledged], "cut {cut}: {acknowledged} were acknowledged");
        assert!(found == stored(&open(&store).unwrap()), "cut {cut}: it stays as it was found");
        committed += acknowledged;
    }
    assert!(with_zeros > cuts / 2, "zeros stood ahead of the journal at {with_zeros} of {cuts} cuts");
    println!("{cuts} power cuts, {with_zeros} with zeros ahead: {committed} commits acknowledged, 0 lost");
}
