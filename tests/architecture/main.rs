//! Keeps the architecture of ARCHITECTURE.md: which rooms and files may name which, what a face is, who may know sockets,
//! clocks and the engine; and that docs/limits.md names a test for each bound.
//!
//! The sources are parsed ([`tree`], [`module`]), each path is followed to the file that defines what it names ([`names`]),
//! and so there are arrows between files ([`arrows`], [`methods`]), which are judged ([`rooms`], [`circles`], [`faces`],
//! [`words`], [`sizes`]). What is not seen: names that traits bring (a method of a trait), and paths in strings.
//!
//! `HONGYAN_TEST_ROOT=/a/checkout` has another checkout judged, with no breach of it known.
#![allow(clippy::unwrap_used)]

mod arrows;
mod breach;
mod circles;
mod faces;
mod limits;
mod methods;
mod module;
mod names;
mod rooms;
mod sizes;
mod tree;
mod words;

use std::{
    env,
    path::{Path, PathBuf},
};

use breach::{Breach, Kind};

/// The checkout that is judged.
fn root() -> PathBuf {
    env::var_os("HONGYAN_TEST_ROOT").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

fn breaches(root: &Path) -> Vec<Breach> {
    let repository = tree::Repository::read(root);
    let arrows = arrows::Arrows::of(&repository);
    let lost = arrows.lost.iter().map(|(file, path)| {
        let place = format!("{} names {path}", repository.name(*file));
        Breach { kind: Kind::Lost, place, why: "this test does not find what that is".to_owned() }
    });
    let mut found: Vec<_> = lost.collect();
    found.extend(faces::breaches(&repository, &arrows));
    found.extend(rooms::breaches(&repository, &arrows));
    found.extend(circles::breaches(&repository, &arrows));
    found.extend(words::breaches(&repository, &arrows));
    found.extend(sizes::breaches(&repository));
    found
}

#[test]
fn the_house_is_as_it_is_drawn() {
    rooms::assert_lists_point_down();
    let known = if env::var_os("HONGYAN_TEST_ROOT").is_some() { &[] } else { breach::KNOWN };
    let report = breach::report(breaches(&root()), known);
    assert!(report.is_empty(), "\n{report}");
}
