//! Keeps the architecture of ARCHITECTURE.md: which rooms and files may name which, what a face is, who may know sockets,
//! clocks and the engine; and that docs/limits.md names a test for each bound.
//!
//! The sources are parsed ([`tree`], [`module`], [`items`], [`tokens`]). Each path is followed to the file that defines what
//! it names ([`names`]), so there are arrows between files ([`arrows`], [`methods`]), and these are judged ([`rooms`],
//! [`circles`], [`faces`], [`words`], [`sizes`]). Not seen are methods that a trait brings, what a value is whose method is
//! called, fields, and paths in strings.
//!
//! `HONGYAN_TEST_ROOT=/a/checkout` has another checkout judged, with nothing of it known. `HONGYAN_TEST_GRAPH=1` prints the
//! rooms with their arrows, `HONGYAN_TEST_GRAPH=session` the files of that room, or of a folder (`crates/proto/`), with theirs.
#![allow(clippy::unwrap_used)]

mod arrows;
mod breach;
mod canaries;
mod circles;
mod faces;
mod graph;
mod items;
mod known;
mod limits;
mod methods;
mod module;
mod names;
mod rooms;
mod sizes;
mod tokens;
mod tree;
mod words;

use std::{
    collections::BTreeSet,
    env,
    io::{self, Write},
    path::PathBuf,
};

use arrows::Arrows;
use breach::{Breach, Kind};
use tree::Repository;

/// The checkout that is judged.
fn root() -> PathBuf {
    env::var_os("HONGYAN_TEST_ROOT").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

fn breaches(repository: &Repository, arrows: &Arrows) -> Vec<Breach> {
    [
        faces::breaches(repository, arrows),
        rooms::breaches(repository, arrows),
        circles::breaches(repository, arrows),
        words::breaches(repository, arrows),
        sizes::breaches(repository),
        lost(repository, arrows),
    ]
    .concat()
}

/// What this test does not see, and should.
fn lost(repository: &Repository, arrows: &Arrows) -> Vec<Breach> {
    let paths = arrows.lost.iter().map(|(file, path)| {
        let place = format!("{} names {path}", repository.name(*file));
        Breach { kind: Kind::Lost, place, why: "this test does not find what that is".to_owned() }
    });
    let read: BTreeSet<_> = repository.files.iter().map(|file| &file.name).collect();
    let homes: BTreeSet<_> = repository.files.iter().map(|file| &file.home).collect();
    let is_for_tests = |name: &str| name.split('/').any(|part| part.trim_end_matches(".rs") == "tests");
    let sources = sizes::sources(&repository.root).into_iter().map(|(name, _)| name);
    let files = sources
        .filter(|name| !read.contains(name) && !is_for_tests(name) && homes.iter().any(|home| name.starts_with(*home)))
        .map(|place| Breach { kind: Kind::Lost, place, why: "no `mod` leads to this file".to_owned() });
    paths.chain(files).collect()
}

/// Past what the test harness captures: it was asked for.
fn print_graph(repository: &Repository, arrows: &Arrows) {
    if let Ok(of) = env::var("HONGYAN_TEST_GRAPH") {
        let graph = if of == "1" { graph::rooms(repository, arrows) } else { graph::files(repository, arrows, &of) };
        io::stdout().write_all(graph.as_bytes()).unwrap();
    }
}

#[test]
fn the_house_is_as_it_is_drawn() {
    rooms::assert_lists_point_down(rooms::MAY);
    let repository = Repository::read(&root());
    let arrows = Arrows::of(&repository);
    print_graph(&repository, &arrows);
    let known = if env::var_os("HONGYAN_TEST_ROOT").is_some() { &[] } else { known::KNOWN };
    let report = breach::report(breaches(&repository, &arrows), known);
    assert!(report.is_empty(), "\n{report}");
}
