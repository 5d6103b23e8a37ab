//! Keeps the architecture invariants of ARCHITECTURE.md: who may import whom, who may know sockets, clocks and engines; and
//! that docs/limits.md names a test for each bound.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The layers of the server, lowest first. A module may name modules of its own layer and of lower ones.
const LAYERS: &[&[&str]] = &[
    &["args", "auth", "boot", "config", "descriptors", "environment", "metrics", "parking", "rate", "store", "tls"],
    &["log"],
    &["channel"],
    &["sessions"],
    &["committer", "presence"],
    &["core", "login"],
    &["accounts", "deliver", "requests", "signals", "sync"],
    &["dispatch", "trace"],
    &["open"],
    &["alarms"],
    &["admin", "gateway", "http", "link", "listener", "restore", "upkeep"],
    &["operate", "server"],
    &["main"],
];

fn sources(root: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(root)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 5, "{root} has no sources");
    found
}

/// The top-level module of a file under src/.
fn module(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// A file without comments and without what follows `#[cfg(test)]`.
fn code(text: &str) -> String {
    let shipped = text.split("#[cfg(test)]\nmod").next().unwrap();
    shipped.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| ["tests", "tests.rs", "sim"].iter().any(|name| part.as_os_str() == *name))
}

fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&module));
    found.unwrap_or_else(|| panic!("module {module} has no layer: add it to LAYERS and to ARCHITECTURE.md"))
}

/// The modules that `use crate::…` and `crate::…` in `text` name, those in braces included.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(std::mem::take(&mut word)),
                    c if depth == 0 && !c.is_whitespace() => word.push(c),
                    _ => {}
                }
            }
            found.push(word);
        } else {
            found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    let head = |path: String| path.split("::").next().unwrap().to_owned();
    found.into_iter().map(head).filter(|name| name.starts_with(char::is_lowercase)).collect()
}

#[test]
fn imports_point_down() {
    for (path, text) in sources("src") {
        let here = module(&path);
        if here == "lib" || is_test(&path) {
            continue;
        }
        for name in imports(&code(&text)) {
            assert!(layer(&name) <= layer(&here), "{} imports {name}, which is above it", path.display());
        }
    }
}

/// Asserts that of all files under `root` only those of `allowed` modules contain one of `words`.
fn only(root: &str, allowed: &[&str], words: &[&str]) {
    for (path, text) in sources(root) {
        let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap().to_owned();
        if is_test(&path) || allowed.iter().any(|allowed| name.contains(allowed)) {
            continue;
        }
        for word in words {
            assert!(!code(&text).contains(word), "{name} must not know {word}");
        }
    }
}

#[test]
fn only_the_edges_know_sockets() {
    let edges = ["src/listener", "src/link", "src/http", "src/gateway/websocket", "src/admin", "src/server"];
    only("src", &edges, &["tokio::net", "TcpStream", "TcpListener", "UnixListener", "tokio::io"]);
}

#[test]
fn a_gateway_never_touches_the_store_or_the_session_map() {
    let gateway: Vec<_> = sources("src").into_iter().filter(|(path, _)| module(path) == "gateway").collect();
    assert!(gateway.len() > 5);
    for (path, text) in gateway {
        for below in ["store", "log", "sessions", "sync", "deliver", "requests"] {
            assert!(!imports(&code(&text)).contains(&below.to_owned()), "{} imports {below}", path.display());
        }
        for inside in ["core.log.", "core.sessions", "core.queue"] {
            assert!(!code(&text).contains(inside), "{} reaches for {inside}", path.display());
        }
    }
}

#[test]
fn only_one_place_knows_the_engine() {
    only("src", &["src/store/fjall", "src/open.rs", "src/restore.rs"], &["fjall::"]);
    only("src", &["src/store/", "src/committer/mod.rs", "src/open.rs", "src/log/epoch.rs"], &[".commit("]);
    only("src", &["src/committer/effect.rs"], &["sessions.bind("]);
}

#[test]
fn time_and_randomness_come_in_as_arguments() {
    let clocks = ["Instant::now", "SystemTime::now", "tokio::time", "rand::"];
    only("crates/proto/src", &[], &clocks);
    only("crates/proto/src", &[], &["tokio", "std::net", "std::thread", "std::fs"]);
    let edges = [
        "src/alarms.rs",
        "src/parking.rs",
        "src/environment.rs",
        "src/listener",
        "src/http",
        "src/gateway",
        "src/admin",
        "src/server",
        "src/upkeep",
        "src/open.rs",
    ];
    let measured = ["src/committer/mod.rs", "src/auth/", "src/store/"];
    only("src", &[&edges[..], &measured[..]].concat(), &clocks);
}

/// What stands in backticks in the last column of a row of a Markdown table; None where `line` is no row.
fn named_in_last_column(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix('|')?.trim_end().strip_suffix('|')?;
    let last = row.rsplit('|').next()?;
    Some(last.split('`').skip(1).step_by(2).collect())
}

#[test]
fn each_bound_has_a_test_that_shows_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/limits.md")).unwrap();
    let folders = ["src", "tests", "crates/proto", "crates/client"];
    let tests: String = folders.into_iter().flat_map(sources).map(|(_, text)| text).collect();
    let mut rows = 0;
    for line in page.lines().filter(|line| !line.contains("---") && !line.ends_with("| shown by |")) {
        let Some(named) = named_in_last_column(line) else { continue };
        rows += 1;
        assert!(!named.is_empty(), "no test shows this bound: {line}");
        for name in named {
            let function = name.rsplit([':', ' ']).next().unwrap().trim_end_matches('…');
            assert!(tests.contains(&format!("fn {function}")), "there is no test {name}");
        }
    }
    assert!(rows > 60, "only {rows} rows were found");
}
