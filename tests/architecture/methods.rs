//! Arrows that no import shows: calls of methods of a type whose `impl`s stand in several files.
//!
//! What a value is whose method is called is not known here. So `x.m(…)` counts where the file has an `impl` of the type or
//! names it, and where no other type of the crate has a method `m`. `self.m(…)`, `Self::m` and `Type::m` are certain.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    arrows::Arrows,
    names::{Search, Target},
    tree::{FileId, Repository, ScopeId},
};

pub struct Types {
    scattered: BTreeMap<(ScopeId, String), Type>,
    /// How many types of a crate have a method of that name.
    owners: BTreeMap<(String, String), usize>,
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
        for (id, scope) in repository.scopes.iter().enumerate() {
            for method in &scope.module.methods {
                if let Target::Item { scope: home, name, .. } = Search::new(repository).follow(id, &method.of) {
                    let found = types.entry((home, name)).or_default();
                    found.files.extend([scope.file, repository.scopes[home].file]);
                    found.methods.entry(method.name.clone()).or_default().insert(scope.file);
                }
            }
        }
        let mut owners = BTreeMap::new();
        for ((home, _), found) in &types {
            for method in found.methods.keys() {
                let home = repository.files[repository.scopes[*home].file].home.clone();
                *owners.entry((home, method.clone())).or_default() += 1;
            }
        }
        types.retain(|_, found| found.files.len() > 1);
        Self { scattered: types, owners }
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
            for scope in &repository.scopes {
                let names_it =
                    arrows.between.get(&(scope.file, definer)).is_some_and(|arrow| arrow.names.contains(name));
                if !names_it && !scattered.files.contains(&scope.file) {
                    continue;
                }
                let crate_of_it = &repository.files[definer].home;
                for method in &scope.module.calls {
                    if let Some(callee) = scattered.only_definer(method)
                        && self.owners[&(crate_of_it.clone(), method.clone())] == 1
                    {
                        found.push((scope.file, callee, method.clone()));
                    }
                }
            }
        }
        found
    }
}
