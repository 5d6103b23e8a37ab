//! Circles: files that depend on each other, by what they name or by methods that they call.

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry};

use crate::{
    arrows::{Arrow, Arrows},
    breach::{Breach, Kind},
    tree::{FileId, Repository},
};

type Graph = BTreeMap<FileId, BTreeSet<FileId>>;

/// The shortest loop, then the shortest of what is left without its arrows, and so on: first by names alone, then with the
/// calls of methods.
pub fn breaches(repository: &Repository, arrows: &Arrows) -> Vec<Breach> {
    let is_test = |file: FileId| repository.files[file].is_test;
    let both_shipped_or_neither = |from: FileId, to: FileId| is_test(from) == is_test(to);
    let mut graph = Graph::new();
    let mut found = Vec::new();
    let mut taken = BTreeSet::new();
    for kind in [Kind::Circle, Kind::MethodCircle] {
        for (&(from, to), arrow) in &arrows.between {
            let counts = !arrow.names.is_empty() || kind == Kind::MethodCircle;
            if counts && both_shipped_or_neither(from, to) && !taken.contains(&(from, to)) {
                graph.entry(from).or_default().insert(to);
            }
        }
        while let Some(files) = shortest_loop(&mut graph) {
            found.push(breach(repository, arrows, kind, &files));
            for (from, to) in steps(&files) {
                graph.entry(from).or_default().remove(&to);
                taken.insert((from, to));
            }
        }
    }
    found
}

fn breach(repository: &Repository, arrows: &Arrows, kind: Kind, files: &[FileId]) -> Breach {
    let names: Vec<_> = files.iter().chain(&files[..1]).map(|file| repository.name(*file)).collect();
    let why: Vec<_> = steps(files)
        .map(|(from, to)| {
            format!("{} → {}: {}", stem(repository, from), stem(repository, to), words(&arrows.between[&(from, to)]))
        })
        .collect();
    Breach { kind, place: names.join(" → "), why: why.join("; ") }
}

fn steps(files: &[FileId]) -> impl Iterator<Item = (FileId, FileId)> {
    (0..files.len()).map(|at| (files[at], files[(at + 1) % files.len()]))
}

/// A file without the folder of its crate: `committer/run`.
pub fn stem(repository: &Repository, file: FileId) -> &str {
    let file = &repository.files[file];
    file.name.strip_prefix(&file.home).unwrap().trim_end_matches(".rs")
}

/// What an arrow stands for: names, and methods as `m()`.
pub fn words(arrow: &Arrow) -> String {
    let methods = arrow.methods.iter().map(|method| format!("{method}()"));
    arrow.names.iter().cloned().chain(methods).collect::<Vec<_>>().join(", ")
}

fn shortest_loop(graph: &mut Graph) -> Option<Vec<FileId>> {
    trim(graph);
    graph.keys().filter_map(|start| loop_from(graph, *start)).min_by_key(Vec::len)
}

/// Takes out, until none is left, the files from which nothing leads on: they are in no circle.
fn trim(graph: &mut Graph) {
    loop {
        let known: BTreeSet<_> = graph.keys().copied().collect();
        for to in graph.values_mut() {
            to.retain(|file| known.contains(file));
        }
        graph.retain(|_, to| !to.is_empty());
        if graph.len() == known.len() {
            return;
        }
    }
}

fn loop_from(graph: &Graph, start: FileId) -> Option<Vec<FileId>> {
    let mut came_from = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for &next in &graph[&file] {
            if next == start {
                return Some(way_back(&came_from, start, file));
            }
            if let Entry::Vacant(unseen) = came_from.entry(next) {
                unseen.insert(file);
                queue.push_back(next);
            }
        }
    }
    None
}

fn way_back(came_from: &BTreeMap<FileId, FileId>, start: FileId, last: FileId) -> Vec<FileId> {
    let mut way = vec![last];
    while way[0] != start {
        way.insert(0, came_from[&way[0]]);
    }
    way
}
