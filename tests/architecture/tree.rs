//! The tree of modules of each crate of a workspace, as `mod` items make it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use syn::{Item, ItemMod};

use crate::{
    items::{attributes, defined, is_for_tests},
    module::Module,
};

pub type FileId = usize;
pub type ScopeId = usize;

pub struct Repository {
    pub root: PathBuf,
    pub files: Vec<File>,
    pub scopes: Vec<Scope>,
    /// The crates that others can name, with the scope of their `lib.rs`.
    pub libraries: HashMap<String, ScopeId>,
}

pub struct File {
    /// Its path from the root of the repository.
    pub name: String,
    /// Where its crate has its sources, with a slash at the end: `src/`, `crates/proto/src/`.
    pub home: String,
    /// Compiled for tests alone, as the simulator is: it may name anything.
    pub is_test: bool,
    /// What it defines, if it is a face.
    pub defects: Vec<String>,
}

/// A module: a whole file, or an inline one.
pub struct Scope {
    pub file: FileId,
    pub parent: Option<ScopeId>,
    pub top: ScopeId,
    pub children: BTreeMap<String, ScopeId>,
    /// Modules that are files of another crate, by `#[path]`.
    pub foreign: Vec<String>,
    pub module: Module,
}

/// Where in the tree something is read.
#[derive(Clone)]
struct Place {
    file: FileId,
    parent: Option<ScopeId>,
    /// Where the files of child modules are.
    folder: PathBuf,
}

impl Repository {
    pub fn read(root: &Path) -> Self {
        let (files, scopes, libraries) = Default::default();
        let mut repository = Self { root: root.to_owned(), files, scopes, libraries };
        for member in members(root) {
            let folder = root.join(&member);
            let sources = folder.join("src");
            let home = sources.strip_prefix(root).unwrap().to_str().unwrap().trim_start_matches("./").to_owned() + "/";
            for (file, is_library) in [("lib.rs", true), ("main.rs", false)] {
                let path = sources.join(file);
                if path.is_file() {
                    let scope = repository.add_file(&path, &home, None, false);
                    if is_library {
                        repository.libraries.insert(package(&folder).replace('-', "_"), scope);
                    }
                }
            }
        }
        assert!(!repository.files.is_empty(), "{} has no sources", root.display());
        repository
    }

    pub fn name(&self, file: FileId) -> &str {
        &self.files[file].name
    }

    /// The modules of one file.
    pub fn scopes_of(&self, file: FileId) -> impl Iterator<Item = &Scope> {
        self.scopes.iter().filter(move |scope| scope.file == file)
    }

    fn add_file(&mut self, path: &Path, home: &str, parent: Option<ScopeId>, is_test: bool) -> ScopeId {
        let name = path.strip_prefix(&self.root).unwrap().to_str().unwrap().trim_start_matches("./").to_owned();
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let items = syn::parse_file(&text).unwrap_or_else(|error| panic!("{name}: {error}")).items;
        let (folder, stem) = (path.parent().unwrap(), path.file_stem().unwrap().to_str().unwrap());
        let has_files = |item: &Item| matches!(item, Item::Mod(item) if item.content.is_none());
        let is_face = stem == "mod" || stem == "lib" && items.iter().any(has_files);
        let defects = if is_face { items.iter().filter_map(defect).collect() } else { Vec::new() };
        let file = self.files.len();
        self.files.push(File { name, home: home.to_owned(), is_test, defects });
        let is_top = ["mod", "lib", "main"].contains(&stem);
        let folder = if is_top { folder.to_owned() } else { folder.join(stem) };
        self.add_scope(Place { file, parent, folder }, &items)
    }

    fn add_scope(&mut self, place: Place, items: &[Item]) -> ScopeId {
        let id = self.scopes.len();
        let top = place.parent.map_or(id, |parent| self.scopes[parent].top);
        let (children, foreign, module) = Default::default();
        self.scopes.push(Scope { file: place.file, parent: place.parent, top, children, foreign, module });
        for item in items {
            match item {
                Item::Mod(item) => self.add_child(id, &place, item),
                item if is_for_tests(attributes(item)) => {}
                item => self.scopes[id].module.read(item),
            }
        }
        id
    }

    fn add_child(&mut self, parent: ScopeId, place: &Place, item: &ItemMod) {
        let name = item.ident.to_string();
        let is_test = self.files[place.file].is_test || item.content.is_none() && is_for_tests(&item.attrs);
        if name == "tests" || !is_test && is_for_tests(&item.attrs) {
            return;
        }
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("path")) {
            self.scopes[parent].foreign.push(name);
            return;
        }
        let folder = place.folder.join(&name);
        let child = if let Some((_, items)) = &item.content {
            self.add_scope(Place { file: place.file, parent: Some(parent), folder }, items)
        } else {
            let file = [folder.with_extension("rs"), folder.join("mod.rs")].into_iter().find(|path| path.is_file());
            let file = file.unwrap_or_else(|| panic!("{}: module {name} has no file", self.name(place.file)));
            let home = self.files[place.file].home.clone();
            self.add_file(&file, &home, Some(parent), is_test)
        };
        self.scopes[parent].children.insert(name, child);
    }
}

/// What an item of a face defines, which it should not: a face has `mod x;` and `use` alone.
fn defect(item: &Item) -> Option<String> {
    match item {
        _ if is_for_tests(attributes(item)) => None,
        Item::Use(_) => None,
        Item::Mod(item) if item.content.is_none() => None,
        Item::Mod(item) => Some(format!("mod {}", item.ident)),
        Item::Impl(_) => Some("an impl".to_owned()),
        item => Some(defined(item).unwrap_or_else(|| "a macro call".to_owned())),
    }
}

/// The folders of the members of the workspace at `root`.
pub fn members(root: &Path) -> Vec<String> {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let list = manifest.split_once("members = [").unwrap().1.split(']').next().unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn package(folder: &Path) -> String {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let section = manifest.split_once("[package]").unwrap().1;
    section.split_once("name = \"").unwrap().1.split('"').next().unwrap().to_owned()
}
