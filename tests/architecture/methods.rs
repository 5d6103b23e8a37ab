//! Arrows that no import shows: calls of methods of a type whose `impl`s stand in several files.
//!
//! `self.m(…)`, `Self::m` and `Type::m` are certain. What `x` is in `x.m(…)` is not known here: it counts where the file has an
//! `impl` of the type or names it, and where neither another type of the crate nor the standard library has a method `m`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    arrows::Arrows,
    names::{Search, Target},
    tree::{FileId, Repository, ScopeId},
};

/// Methods that collections, options, locks, channels and sockets have as well.
const STANDARD: &[&str] = &[
    "append", "clear", "close", "contains", "drain", "extend", "fill", "flush", "get", "insert", "is_empty", "iter",
    "join", "len", "lines", "lock", "next", "push", "read", "remove", "replace", "send", "split", "start", "take",
    "write",
];

pub struct Types {
    scattered: BTreeMap<(ScopeId, String), Type>,
    /// How many types and traits have a method of that name, crate by crate and what tests alone see apart.
    owners: BTreeMap<(String, bool, String), usize>,
}

/// The files in which a type is defined and has `impl`s, and each method with the files that define it.
#[derive(Default)]
struct Type {
    files: BTreeSet<FileId>,
    methods: BTreeMap<String, BTreeSet<FileId>>,
}

impl Type {
    fn only_definer(&self, method: &str) -> Option<FileId> {
        let files = self.methods.get(method)?;
        files.first().copied().filter(|_| files.len() == 1)
    }
}

impl Types {
    pub fn of(repository: &Repository) -> Self {
        let mut types = BTreeMap::<_, Type>::new();
        let mut owners = BTreeMap::<_, BTreeSet<_>>::new();
        for (id, scope) in repository.scopes.iter().enumerate() {
            for method in &scope.module.methods {
                let target = Search::new(repository).follow(id, &method.of);
                let Target::Item { scope: home, name, .. } = target else { continue };
                let definer = repository.scopes[home].file;
                owners.entry(owned(repository, definer, &method.name)).or_default().insert((home, name.clone()));
                if !method.is_of_trait {
                    let found = types.entry((home, name)).or_default();
                    found.files.extend([scope.file, definer]);
                    found.methods.entry(method.name.clone()).or_default().insert(scope.file);
                }
            }
        }
        types.retain(|_, found| found.files.len() > 1);
        Self { scattered: types, owners: owners.into_iter().map(|(method, owners)| (method, owners.len())).collect() }
    }

    /// The one file that defines `method` of a type that has several.
    pub fn only_definer(&self, home: ScopeId, name: &str, method: &str) -> Option<FileId> {
        self.scattered.get(&(home, name.to_owned()))?.only_definer(method)
    }

    /// Caller, callee and name of the calls of methods on values.
    pub fn calls(&self, repository: &Repository, arrows: &Arrows) -> Vec<(FileId, FileId, String)> {
        let mut found = Vec::new();
        for ((home, name), scattered) in &self.scattered {
            let definer = repository.scopes[*home].file;
            let names_it =
                |file: FileId| arrows.between.get(&(file, definer)).is_some_and(|arrow| arrow.names.contains(name));
            let knows_it = |file: FileId| scattered.files.contains(&file) || names_it(file);
            for scope in repository.scopes.iter().filter(|scope| knows_it(scope.file)) {
                for method in scope.module.calls.iter().filter(|method| !STANDARD.contains(&method.as_str())) {
                    if let Some(callee) = scattered.only_definer(method)
                        && self.owners[&owned(repository, definer, method)] == 1
                    {
                        found.push((scope.file, callee, method.clone()));
                    }
                }
            }
        }
        found
    }
}

fn owned(repository: &Repository, definer: FileId, method: &str) -> (String, bool, String) {
    let file = &repository.files[definer];
    (file.home.clone(), file.is_test, method.to_owned())
}
