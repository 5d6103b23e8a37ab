//! Who may know sockets, the engine, clocks, threads: paths that lead out of the workspace, and calls by a method's name.

use crate::{
    arrows::Arrows,
    breach::{Breach, Kind},
    tree::Repository,
};

/// Paths, and methods as `.m`, that under `within` only files whose path begins with one of `only` may name.
struct Word {
    what: &'static [&'static str],
    within: &'static str,
    only: &'static [&'static str],
}

const SOCKETS: &[&str] = &[
    "tokio::net",
    "tokio::io",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::os::unix::net",
    "socket2",
    "mio",
];
const CLOCKS: &[&str] = &["std::time::Instant::now", "std::time::SystemTime::now", "tokio::time", "rand"];

const MOST_SHOWN: usize = 3;

const WORDS: &[Word] = &[
    Word { what: SOCKETS, within: "src/", only: &["src/edge/", "src/host/"] },
    // An enclosed server is spoken to by the web's own requests.
    Word { what: &["axum"], within: "src/", only: &["src/edge/web/", "src/host/enclosed.rs"] },
    Word { what: &["fjall"], within: "src/", only: &["src/store/fjall/"] },
    Word {
        what: &[".commit"],
        within: "src/",
        only: &["src/store/", "src/committer/commit.rs", "src/log/epoch.rs", "src/host/open.rs"],
    },
    // A device, by a login that is committed; its channel, by the effect of that; sockets.
    Word {
        what: &[".bind"],
        within: "src/",
        only: &["src/committer/rules/binding.rs", "src/live/", "src/edge/port/", "src/host/"],
    },
    Word {
        what: CLOCKS,
        within: "src/",
        // The last three measure how long something of their own took.
        only: &["src/base/", "src/edge/", "src/host/", "src/committer/commit.rs", "src/auth/", "src/store/"],
    },
    Word {
        what: &["std::sync::Arc", "std::time::Instant", "tokio::time::Instant", "tokio::sync::oneshot"],
        within: "src/ops/",
        only: &[],
    },
    Word { what: CLOCKS, within: "crates/proto/src/", only: &[] },
    Word { what: &["tokio", "std::net", "std::thread", "std::fs"], within: "crates/proto/src/", only: &[] },
];

pub fn breaches(repository: &Repository, arrows: &Arrows) -> Vec<Breach> {
    let mut found = Vec::new();
    for (id, file) in repository.files.iter().enumerate().filter(|(_, file)| !file.is_test) {
        let outside = arrows.outside.get(&id).into_iter().flatten().cloned();
        let calls = repository.scopes_of(id).flat_map(|scope| &scope.module.calls).map(|method| format!(".{method}"));
        let said: Vec<_> = outside.chain(calls).collect();
        for word in WORDS.iter().filter(|word| word.concerns(&file.name)) {
            for what in word.what {
                let said: Vec<_> = said.iter().filter(|said| begins(said, what)).cloned().collect();
                if !said.is_empty() {
                    let only = if word.only.is_empty() { "nobody".to_owned() } else { word.only.join(", ") };
                    let more = if said.len() > MOST_SHOWN { ", …" } else { "" };
                    let said = said[..said.len().min(MOST_SHOWN)].join(", ");
                    let why = format!("{said}{more}; in {} that is for {only}", word.within);
                    found.push(Breach { kind: Kind::Word, place: format!("{} knows {what}", file.name), why });
                }
            }
        }
    }
    found
}

impl Word {
    fn concerns(&self, file: &str) -> bool {
        file.starts_with(self.within) && !self.only.iter().any(|only| file.starts_with(only))
    }
}

fn begins(path: &str, with: &str) -> bool {
    path.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
