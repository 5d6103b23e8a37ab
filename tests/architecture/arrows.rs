//! The arrows between files: who names what of whom. `mod x;` and `use x;` of a module are none; what is then named of it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    methods,
    names::{Search, Target},
    tree::{FileId, Repository, ScopeId},
};

#[derive(Default)]
pub struct Arrows {
    pub between: BTreeMap<(FileId, FileId), Arrow>,
    /// Per file the paths that lead out of the workspace, through imports: `std::time::Instant::now`.
    pub outside: BTreeMap<FileId, BTreeSet<String>>,
    /// Paths that lead into a module of the workspace which has nothing of that name.
    pub lost: BTreeSet<(FileId, String)>,
    /// Names that a file took from the face of a folder in which it is itself.
    pub through_own_face: BTreeMap<(FileId, FileId), BTreeSet<String>>,
}

/// Why one file depends on another: the names it has of it by paths, and the methods that it calls of a type that it knows.
#[derive(Default)]
pub struct Arrow {
    pub names: BTreeSet<String>,
    pub methods: BTreeSet<String>,
}

impl Arrows {
    pub fn of(repository: &Repository) -> Self {
        let mut arrows = Self::default();
        let types = methods::Types::of(repository);
        for (id, scope) in repository.scopes.iter().enumerate() {
            for path in &scope.module.paths {
                arrows.add(repository, &types, id, path, false);
            }
            for import in &scope.module.uses {
                arrows.add(repository, &types, id, &import.path, true);
            }
        }
        for (from, to, method) in types.calls(repository, &arrows) {
            arrows.add_method(from, to, method);
        }
        arrows
    }

    fn add(&mut self, repository: &Repository, types: &methods::Types, from: ScopeId, path: &[String], is_use: bool) {
        let scope = &repository.scopes[from];
        let mut search = Search::new(repository);
        match search.follow(from, path) {
            Target::Item { scope: to, name, rest } => {
                if let Some(method) = rest.first()
                    && let Some(definer) = types.only_definer(to, &name, method)
                {
                    self.add_method(scope.file, definer, method.clone());
                }
                self.add_name(scope.file, repository.scopes[to].file, name);
            }
            // One word is as likely a variable of that name.
            Target::Outside(path) if is_use || path.len() > 1 => {
                self.outside.entry(scope.file).or_default().insert(path.join("::"));
            }
            Target::Nowhere if !repository.files[scope.file].is_test => {
                self.lost.insert((scope.file, path.join("::")));
            }
            _ => {}
        }
        for (through, name) in search.through {
            let face = repository.scopes[through].file;
            if face != scope.file && is_above(repository, through, from) && !repository.files[scope.file].is_test {
                self.through_own_face.entry((scope.file, face)).or_default().insert(name);
            }
        }
    }

    fn add_name(&mut self, from: FileId, to: FileId, name: String) {
        if from != to {
            self.between.entry((from, to)).or_default().names.insert(name);
        }
    }

    fn add_method(&mut self, from: FileId, to: FileId, method: String) {
        if from != to {
            self.between.entry((from, to)).or_default().methods.insert(method);
        }
    }
}

fn is_above(repository: &Repository, above: ScopeId, mut scope: ScopeId) -> bool {
    while let Some(parent) = repository.scopes[scope].parent {
        if parent == above {
            return true;
        }
        scope = parent;
    }
    false
}
