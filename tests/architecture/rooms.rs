//! The rooms of the server, and which of them may name which.

use std::collections::BTreeSet;

use crate::{
    arrows::{Arrow, Arrows},
    breach::{Breach, Kind},
    tree::{File, Repository},
};

/// The rooms of `src/`, top to bottom, each with what it may name: a room, or of a room a module or one name.
/// What is compiled for tests alone, as the simulator, stands apart and may name anything.
pub const MAY: &[(&str, &[&str])] = &[
    // `main.rs` and `lib.rs`.
    ("main", &["cli", "host", "config"]),
    ("cli", &["host", "config", "edge::admin", "session::operator"]),
    ("host", &["edge", "session", "committer", "live", "ops", "log", "store", "auth", "config", "base"]),
    ("edge", &["session", "ops::answer", "ops::id", "config", "base"]),
    ("session", &["live", "ops", "log", "store::StoreError", "auth", "base"]),
    ("committer", &["ops", "log", "store", "auth::resume", "base"]),
    ("live", &["ops", "base"]),
    ("ops", &["base"]),
    ("log", &["store", "base"]),
    ("store", &["base"]),
    ("auth", &["base"]),
    ("config", &[]),
    ("base", &[]),
];

/// The room of a file of the server, whether there is one of that name or not; None for other crates and what tests alone see.
pub fn room(file: &File) -> Option<&str> {
    let inside = file.name.strip_prefix("src/").filter(|_| !file.is_test)?;
    let first = inside.split('/').next()?.trim_end_matches(".rs");
    Some(if first == "lib" { "main" } else { first })
}

pub fn floor(room: &str) -> Option<usize> {
    MAY.iter().position(|(name, _)| *name == room)
}

/// Fails where a list names something that is not below its room.
pub fn assert_lists_point_down(lists: &[(&str, &[&str])]) {
    for (at, (room, may)) in lists.iter().enumerate() {
        for what in *may {
            let named = what.split("::").next().unwrap();
            let is_below = lists[at + 1..].iter().any(|(below, _)| *below == named);
            assert!(is_below, "MAY: {room} must not name {what}, which is not below it");
        }
    }
}

pub fn breaches(repository: &Repository, arrows: &Arrows) -> Vec<Breach> {
    let rooms: BTreeSet<_> = repository.files.iter().filter_map(room).collect();
    let homeless = rooms.into_iter().filter(|room| floor(room).is_none());
    let mut found: Vec<_> = homeless
        .map(|module| {
            let why =
                "no room has this name: add it to one of the rooms of MAY, in tests/architecture/rooms.rs".to_owned();
            Breach { kind: Kind::Place, place: format!("src/{module}"), why }
        })
        .collect();
    for (&(from, to), arrow) in &arrows.between {
        found.extend(judge(&repository.files[from], &repository.files[to], arrow));
    }
    found
}

fn judge(from: &File, to: &File, arrow: &Arrow) -> Option<Breach> {
    let (here, there) = (room(from)?, room(to)?);
    let (floor_here, floor_there) = (floor(here)?, floor(there)?);
    let may = MAY[floor_here].1;
    let names: Vec<_> =
        arrow.names.iter().filter(|name| here != there && !is_allowed(may, to, name)).cloned().collect();
    if names.is_empty() {
        return None;
    }
    let law = match floor_there < floor_here {
        true => format!("{there} is above {here}"),
        false => format!("{here} may name {}", if may.is_empty() { "no room".to_owned() } else { may.join(", ") }),
    };
    let why = format!("{}; {law}", names.join(", "));
    Some(Breach { kind: Kind::Room, place: format!("{} → {}", from.name, to.name), why })
}

/// Whether a list has the room of `to`, its module or one above it, or that name of the room.
fn is_allowed(may: &[&str], to: &File, name: &str) -> bool {
    let module = to.name.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    let by_name = format!("{}::{name}", room(to).unwrap_or_default());
    may.iter().any(|what| *what == module || module.starts_with(&format!("{what}::")) || *what == by_name)
}
