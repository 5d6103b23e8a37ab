//! A face, `mod.rs` or `lib.rs`, tells what a folder is and defines nothing; code stands in files with names.

use std::fs;

use crate::{
    arrows::Arrows,
    breach::{Breach, Kind},
    tree::Repository,
};

pub fn breaches(repository: &Repository, arrows: &Arrows) -> Vec<Breach> {
    let mut found = Vec::new();
    for file in repository.files.iter().filter(|file| !file.is_test) {
        if !file.defects.is_empty() {
            let why = format!("a face defines nothing: move {} to a file with a name", file.defects.join(", "));
            found.push(Breach { kind: Kind::Face, place: file.name.clone(), why });
        }
        let beside = beside(repository, &file.name);
        if !beside.is_empty() {
            let why = format!(
                "only tests may stand in the folder beside it, not {}: make it a folder with a face",
                beside.join(", ")
            );
            found.push(Breach { kind: Kind::Face, place: file.name.clone(), why });
        }
    }
    for ((file, face), names) in &arrows.through_own_face {
        let place = format!("{} goes through {}", repository.name(*file), repository.name(*face));
        let names: Vec<_> = names.iter().cloned().collect();
        let why = format!("inside a folder name things where they are defined: {}", names.join(", "));
        found.push(Breach { kind: Kind::Detour, place, why });
    }
    found
}

/// What stands beside `x.rs` in the folder `x` and is no test.
fn beside(repository: &Repository, name: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(repository.root.join(name.trim_end_matches(".rs"))) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !["tests", "tests.rs"].contains(&name.as_str())).collect();
    names.sort();
    names
}
