//! Whom a path names: followed through imports, `pub use`, globs and faces to the module that defines it.

use crate::{
    module::Use,
    tree::{Repository, ScopeId},
};

pub enum Target {
    /// `name`, which `scope` defines; `rest` is what the path goes on to name of it.
    Item {
        scope: ScopeId,
        name: String,
        rest: Vec<String>,
    },
    Module(ScopeId),
    /// Of another crate than the workspace's, or local.
    Outside(Vec<String>),
    /// Nothing of that name was found in a module that was.
    Nowhere,
}

/// One path being followed.
pub struct Search<'a> {
    repository: &'a Repository,
    /// The modules whose `use` was followed, and for which name.
    pub through: Vec<(ScopeId, String)>,
}

enum Found {
    Item,
    Module(ScopeId),
    /// It is that path, seen from there.
    Alias(Vec<String>),
}

impl<'a> Search<'a> {
    pub fn new(repository: &'a Repository) -> Self {
        Self { repository, through: Vec::new() }
    }

    pub fn follow(&mut self, from: ScopeId, path: &[String]) -> Target {
        let scopes = &self.repository.scopes;
        let (mut here, mut rest) = (from, path);
        let mut is_first = true;
        while let Some((name, after)) = rest.split_first() {
            let step = match name.as_str() {
                "crate" => Some(scopes[here].top),
                "self" => Some(here),
                "super" => scopes[here].parent,
                _ => None,
            };
            if let Some(step) = step {
                (here, rest, is_first) = (step, after, false);
                continue;
            }
            match self.look_up(here, name, !after.is_empty(), is_first) {
                Some((_, Found::Module(module))) => here = module,
                Some((scope, Found::Item)) => return Target::Item { scope, name: name.clone(), rest: after.to_vec() },
                Some((scope, Found::Alias(path))) => return self.follow_alias(scope, name, path, after),
                None if scopes[here].foreign.contains(name) => return Target::Outside(path.to_vec()),
                None if !is_first => return Target::Nowhere,
                None => match self.repository.libraries.get(name) {
                    Some(library) => here = *library,
                    None => return Target::Outside(path.to_vec()),
                },
            }
            (rest, is_first) = (after, false);
        }
        Target::Module(here)
    }

    fn follow_alias(&mut self, scope: ScopeId, name: &str, path: Vec<String>, after: &[String]) -> Target {
        let step = (scope, name.to_owned());
        if self.through.contains(&step) {
            return Target::Outside([&path, after].concat());
        }
        self.through.push(step);
        self.follow(scope, &[&path, after].concat())
    }

    /// `name` in a module, and the module in which it was found: another one where it came through a glob.
    fn look_up(&self, at: ScopeId, name: &str, is_prefix: bool, is_first: bool) -> Option<(ScopeId, Found)> {
        let mut seen = vec![at];
        let mut next = 0;
        while let Some(&at) = seen.get(next) {
            if let Some(found) = self.look_into(at, name, is_prefix) {
                return Some((at, found));
            }
            for glob in self.repository.scopes[at].module.uses.iter().filter(|import| import.name.is_none()) {
                if let Target::Module(behind) = Search::new(self.repository).follow_glob(at, &glob.path)
                    && !seen.contains(&behind)
                {
                    seen.push(behind);
                }
            }
            next += 1;
        }
        // What macros and generated code define is taken on trust, but not so that it hides the crate `tokio`.
        let is_trusted = |at: &ScopeId| !is_first || *at != seen[0] && name.starts_with(char::is_uppercase);
        let may_define = |at: &ScopeId| self.repository.scopes[*at].module.may_define(name);
        seen.iter().find(|at| is_trusted(at) && may_define(at)).map(|at| (*at, Found::Item))
    }

    /// `name` where a module itself says it.
    fn look_into(&self, at: ScopeId, name: &str, is_prefix: bool) -> Option<Found> {
        let scope = &self.repository.scopes[at];
        let child = scope.children.get(name).map(|child| Found::Module(*child));
        if is_prefix && child.is_some() {
            return child;
        }
        if scope.module.defines.contains(name) {
            return Some(Found::Item);
        }
        // `use rand;` is about another crate, it leads nowhere in this one.
        let is_of_it = |import: &&Use| import.name.as_deref() == Some(name) && import.path != [name];
        let import = scope.module.uses.iter().find(is_of_it).map(|import| Found::Alias(import.path.clone()));
        // A module may share its name with a function that is imported from it.
        import.or(child)
    }

    /// A glob whose path begins with a name that only a glob could bring is not followed: looking it up would not end.
    fn follow_glob(&mut self, at: ScopeId, path: &[String]) -> Target {
        let scope = &self.repository.scopes[at];
        let is_rooted = ["crate", "self", "super"].contains(&path[0].as_str());
        let is_known = scope.children.contains_key(&path[0])
            || self.repository.libraries.contains_key(&path[0])
            || scope.module.uses.iter().any(|import| import.name.as_ref() == Some(&path[0]));
        if is_rooted || is_known { self.follow(at, path) } else { Target::Outside(path.to_vec()) }
    }
}
