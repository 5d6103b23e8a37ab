//! How long a file and a function may be.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    breach::{Breach, Kind},
    tree::{self, Repository},
};

const LINES_OF_A_FILE: usize = 400;
const LINES_OF_A_FUNCTION: usize = 70;

/// Every file counts, tests too, and the functions of what is shipped.
pub fn breaches(repository: &Repository) -> Vec<Breach> {
    let mut found = Vec::new();
    for (name, text) in sources(&repository.root) {
        let lines = text.lines().count();
        if lines > LINES_OF_A_FILE {
            found.push(Breach {
                kind: Kind::Size,
                place: name,
                why: format!("{lines} lines, {LINES_OF_A_FILE} are allowed"),
            });
        }
    }
    for scope in &repository.scopes {
        for (function, lines) in &scope.module.functions {
            if *lines > LINES_OF_A_FUNCTION {
                let place = format!("{}: fn {function}", repository.name(scope.file));
                found.push(Breach {
                    kind: Kind::Size,
                    place,
                    why: format!("{lines} lines, {LINES_OF_A_FUNCTION} are allowed"),
                });
            }
        }
    }
    found
}

/// Every `.rs` of the members of a workspace, by its path from there.
pub fn sources(root: &Path) -> Vec<(String, String)> {
    let members = tree::members(root).into_iter().filter(|member| member != ".");
    let own = ["src", "tests", "benches", "examples"].map(str::to_owned);
    let mut folders: Vec<PathBuf> = own.into_iter().chain(members).map(|folder| root.join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.extend(Some(path).filter(|path| !path.ends_with("target")));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), text));
            }
        }
    }
    found
}
