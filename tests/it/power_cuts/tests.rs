//! The disk that forgets, without a server: what it must keep, and that it does forget.

use std::ffi::OsStr;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    SHARES,
    disk::{Content, Disk, File, Inode, Node, ROOT},
};

fn make(disk: &mut Disk, name: &str) -> Inode {
    disk.make(ROOT, OsStr::new(name), Node { mode: 0o600, content: Content::File(File::default()) }).unwrap()
}

fn content(disk: &Disk, inode: Inode) -> Vec<u8> {
    disk.read(inode, 0, u64::MAX / 2).unwrap()
}

fn random_bytes(random: &mut StdRng, longest: usize) -> Vec<u8> {
    let mut bytes = vec![0; random.random_range(1..=longest)];
    random.fill(&mut bytes[..]);
    bytes
}

#[test]
fn a_sync_keeps_all_that_was_written_before_it() {
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut disk = Disk::new();
        let file = make(&mut disk, "file");
        disk.sync(ROOT).unwrap();
        let mut model = Vec::new();
        for _ in 0..random.random_range(1..20) {
            if random.random_ratio(1, 4) {
                model.resize(random.random_range(0..20_000), 0);
                disk.resize(file, model.len() as u64).unwrap();
                continue;
            }
            let (at, bytes) = (random.random_range(0..20_000), random_bytes(&mut random, 6000));
            model.resize(model.len().max(at + bytes.len()), 0);
            model[at..at + bytes.len()].copy_from_slice(&bytes);
            disk.write(file, at as u64, &bytes).unwrap();
        }
        assert_eq!(content(&disk, file), model, "seed {seed}");
        disk.sync(file).unwrap();
        disk.power_on(&mut random, SHARES[seed as usize % SHARES.len()]);
        assert_eq!(content(&disk, file), model, "seed {seed}");
        // What follows is there only with a share of it.
        disk.write(file, 0, &[7; 10_000]).unwrap();
        disk.resize(file, 12_000).unwrap();
        disk.power_on(&mut random, 0.0);
        assert_eq!(content(&disk, file), model, "seed {seed}");
        disk.write(file, 100, &[7; 600]).unwrap();
        disk.power_on(&mut random, 1.0);
        assert_eq!(content(&disk, file)[100..700], [7; 600], "seed {seed}");
    }
}

#[test]
fn sectors_are_kept_or_lost_one_by_one() {
    let mut disk = Disk::new();
    let file = make(&mut disk, "file");
    disk.resize(file, 1 << 20).unwrap();
    disk.sync(file).unwrap();
    disk.sync(ROOT).unwrap();
    disk.write(file, 0, &vec![7; 1 << 20]).unwrap();
    disk.power_on(&mut StdRng::seed_from_u64(1), 0.5);
    let bytes = content(&disk, file);
    let whole = |value| bytes.chunks_exact(512).filter(|sector| sector.iter().all(|byte| *byte == value)).count();
    assert_eq!(whole(0) + whole(7), 2048, "a sector is old or new");
    assert!(whole(0) > 800 && whole(7) > 800);
}

#[test]
fn a_name_is_kept_by_a_sync_of_its_directory_and_a_rename_is_whole() {
    let (mut old, mut new) = (0, 0);
    for seed in 0..100 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut disk = Disk::new();
        let (current, beside) = (make(&mut disk, "current"), make(&mut disk, "current.new"));
        disk.sync(current).unwrap();
        disk.sync(ROOT).unwrap();
        disk.write(beside, 0, b"new").unwrap();
        disk.sync(beside).unwrap();
        disk.rename(ROOT, OsStr::new("current.new"), OsStr::new("current")).unwrap();
        let late = make(&mut disk, "late");
        disk.sync(late).unwrap();
        disk.power_on(&mut random, 0.5);
        match disk.find(ROOT, OsStr::new("current")).unwrap() {
            found if found == beside => new += 1,
            found => {
                assert_eq!(found, current);
                assert!(disk.find(ROOT, OsStr::new("late")).is_err(), "names are kept in the order of the changes");
                old += 1;
            }
        }
    }
    assert!(old > 20 && new > 20, "{old} old, {new} new");
}

#[test]
fn the_power_goes_before_the_change_that_was_asked_for() {
    let mut disk = Disk::new();
    let file = make(&mut disk, "file");
    disk.cut_after(2);
    disk.write(file, 0, b"a").unwrap();
    disk.sync(file).unwrap();
    assert!(disk.sync(ROOT).is_err() && disk.is_off());
    assert!(disk.read(file, 0, 1).is_err(), "nothing works without power");
    disk.power_on(&mut StdRng::seed_from_u64(1), 0.0);
    assert!(disk.find(ROOT, OsStr::new("file")).is_err(), "its name was not synced");
}

#[test]
fn holes_are_what_was_never_written_or_was_lost() {
    let mut disk = Disk::new();
    let file = make(&mut disk, "file");
    disk.sync(ROOT).unwrap();
    disk.resize(file, 1 << 20).unwrap();
    assert_eq!(disk.find_hole(file, 0).unwrap(), 0);
    disk.write(file, 100, &[7; 5000]).unwrap();
    assert_eq!((disk.find_hole(file, 0).unwrap(), disk.find_hole(file, 9000).unwrap()), (8192, 9000));
    disk.sync(file).unwrap();
    disk.write(file, 8192, &[0; 5000]).unwrap();
    assert_eq!(disk.find_hole(file, 0).unwrap(), 16_384, "zeros that were written are no hole");
    disk.power_on(&mut StdRng::seed_from_u64(1), 0.0);
    assert_eq!(disk.find_hole(file, 0).unwrap(), 8192, "unless they were lost");
    disk.resize(file, 8192).unwrap();
    assert_eq!(disk.find_hole(file, 0).unwrap(), 8192, "the end counts as one");
    assert!(disk.find_hole(file, 8192).is_err(), "behind it is nothing");
}
