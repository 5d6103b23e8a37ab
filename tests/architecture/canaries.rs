//! Small trees, each with one thing wrong that must be found, and one with nothing.

use std::fs;

use crate::{arrows::Arrows, breach, breaches, rooms, tree::Repository};

/// Paths and texts of a tree of sources; what is not given is as in CLEAN.
type Tree<'a> = &'a [(&'a str, &'a str)];

const MANIFEST: &str = "[workspace]\nmembers = [\".\"]\n[package]\nname = \"hongyan\"\n";

/// Names all that may be named, in every form: braces, globs, `super`, macros, through faces and from tests.
const CLEAN: Tree<'_> = &[
    ("Cargo.toml", MANIFEST),
    ("src/lib.rs", "pub mod edge; pub mod log; mod session; pub mod store;"),
    ("src/edge/mod.rs", "mod page;"),
    ("src/edge/page.rs", "use crate::session::*; fn page() -> Page { tokio::time::sleep(SECOND) }"),
    ("src/session/mod.rs", "mod page; mod send; pub use page::Page; pub use self::send::send;"),
    ("src/session/page.rs", "use crate::store::StoreError; pub struct Page(StoreError);"),
    ("src/session/send.rs", "use super::page::Page; pub fn send() { format!(\"{}\", crate::log::Log::new(Page).count()) }"),
    ("src/log/mod.rs", "mod count; mod rows; pub use rows::{Log, Row};"),
    (
        "src/log/rows.rs",
        "use crate::store::{Engine, StoreError}; macro_rules! row { () => { pub struct Row; } } row!(); pub struct Log(Engine);
        impl Log { pub fn new() -> Self { Self::of() } fn of() {} pub fn rows(&self) {} }",
    ),
    (
        "src/log/count.rs",
        "use super::rows::Log;
        impl Log {
            pub fn count(&self) { #[cfg(test)] use crate::session::send; #[cfg(test)] let page = crate::session::Page; self.rows() }
            #[cfg(test)] fn page(&self) -> crate::session::Page {}
        }
        #[cfg(all(test, unix))] use crate::session::Page; #[cfg(test)] mod checks { use crate::session::Page; }",
    ),
    ("src/store/mod.rs", "//! See [`crate::log`].\nmod engine;\nmod fjall;\npub use engine::{Engine, StoreError};"),
    ("src/store/engine.rs", "pub struct Engine; pub enum StoreError { Io } impl Engine { pub fn commit(&self) { self.commit() } }"),
    ("src/store/fjall/mod.rs", "mod writer;"),
    ("src/store/fjall/writer.rs", "use fjall::Database; use crate::store::engine::Engine; fn write() { super::super::engine::StoreError::Io }"),
];

/// What is found in CLEAN with `changes` in it.
fn report(changes: Tree<'_>, known: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in CLEAN.iter().chain(changes) {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let repository = Repository::read(folder.path());
    breach::report(breaches(&repository, &Arrows::of(&repository)), known)
}

/// Asserts that `changes` bring these breaches, and no others.
fn assert_found(changes: Tree<'_>, expected: &[&str]) {
    let report = report(changes, &[]);
    let found: Vec<_> = report.lines().filter(|line| line.starts_with("  ")).map(str::trim).collect();
    assert_eq!(found, expected);
}

#[test]
fn nothing_is_found_where_all_is_well() {
    assert_eq!(report(&[], &[]), "");
}

#[test]
fn an_upward_import_is_found() {
    let forms = [
        "use crate::log::Log; struct Writer(Log);",
        "use super::super::super::log::{self as above, Row as Other}; struct Writer(above::Log); use crate::log::Log as L;",
        "use crate::log::*; struct Writer(Log);",
        "use crate::log; #[writes(log::Log)] struct Writer;",
        "#[cfg(test)]\nmod tests;\nfn f() { vec![crate::log::Log::new()] }",
        "fn f() { use crate::log::Log; }",
        "fn f(log: Option<crate::log::Log>) {}",
        "#[cfg(any(test, unix))] use crate::log::Log;",
        "#[cfg(not(test))] use crate::log::Log;",
        "use above::Log; use crate::log as above;",
    ];
    for form in forms {
        let names = if form.contains("Row") { "Log, Row" } else { "Log" };
        let breach = format!("room: src/store/fjall/writer.rs → src/log/rows.rs ({names}; log is above store)");
        assert_found(&[("src/store/fjall/writer.rs", form)], &[&breach]);
    }
}

#[test]
fn a_name_beyond_the_list_of_a_room_is_found() {
    assert_found(
        &[("src/session/page.rs", "use crate::store::{Engine, StoreError}; pub struct Page(Engine, StoreError);")],
        &[
            "room: src/session/page.rs → src/store/engine.rs (Engine; session may name live, ops, log, store::StoreError, auth, base)",
        ],
    );
}

#[test]
fn a_module_that_is_no_room_is_found() {
    assert_found(
        &[
            ("src/lib.rs", "mod edge; mod log; mod session; mod store; mod utils;"),
            ("src/utils.rs", "use crate::edge;"),
        ],
        &[
            "no room: src/utils (no room has this name: add it to one of the rooms of MAY, in tests/architecture/rooms.rs)",
        ],
    );
}

#[test]
fn a_circle_of_two_is_found() {
    assert_found(
        &[("src/session/page.rs", "pub struct Page; fn page() { super::send::send() }")],
        &["circle of imports: src/session/page.rs → src/session/send.rs → src/session/page.rs \
           (session/page → session/send: send; session/send → session/page: Page)"],
    );
}

#[test]
fn a_circle_through_super_is_found() {
    assert_found(
        &[
            (
                "src/session/mod.rs",
                "mod page; mod send; pub use page::Page; pub use self::send::send; const LIMIT: usize = page::LIMIT;",
            ),
            ("src/session/page.rs", "use super::LIMIT as MOST; pub struct Page; pub const LIMIT: usize = MOST;"),
        ],
        &[
            "face: src/session/mod.rs (a face defines nothing: move LIMIT to a file with a name)",
            "circle of imports: src/session/mod.rs → src/session/page.rs → src/session/mod.rs \
             (session/mod → session/page: LIMIT, Page; session/page → session/mod: LIMIT)",
        ],
    );
}

#[test]
fn a_circle_of_methods_is_found() {
    let rows = "pub struct Row; pub struct Log; impl Log { pub fn new() {} pub fn rows(&self, log: &Log) { CALL } }";
    let why = "log/count → log/rows: Log, rows(); log/rows → log/count: count()";
    let breach = format!("circle of methods: src/log/count.rs → src/log/rows.rs → src/log/count.rs ({why})");
    for call in
        ["self.count()", "Self::count(self)", "Log::count(self)", "log.count()", "assert!(self.count() == log.count())"]
    {
        assert_found(&[("src/log/rows.rs", &rows.replace("CALL", call))], &[&breach]);
    }
}

#[test]
fn code_in_a_face_or_beside_a_file_is_found() {
    assert_found(
        &[("src/edge/mod.rs", "mod page; pub mod wire { include!(\"wire.rs\"); } pub fn open() {} impl Open {}")],
        &["face: src/edge/mod.rs (a face defines nothing: move mod wire, open, an impl to a file with a name)"],
    );
    assert_found(
        &[("src/edge/page.rs", "mod form; mod tests;"), ("src/edge/page/form.rs", ""), ("src/edge/page/tests.rs", "")],
        &[
            "face: src/edge/page.rs (only tests may stand in the folder beside it, not form.rs: make it a folder with a face)",
        ],
    );
}

#[test]
fn a_detour_through_the_face_of_ones_own_folder_is_found() {
    assert_found(
        &[("src/session/send.rs", "use super::Page; pub fn send(page: Page) {}")],
        &[
            "detour: src/session/send.rs goes through src/session/mod.rs (inside a folder name things where they are defined: Page)",
        ],
    );
}

#[test]
fn a_word_that_is_for_others_is_found() {
    let others = "in src/ that is for src/base/, src/edge/, src/host/, src/committer/commit.rs, src/auth/, src/store/";
    let clock = format!("word: src/session/page.rs knows std::time::Instant::now (std::time::Instant::now; {others})");
    assert_found(
        &[("src/session/page.rs", "use std::time as t; pub struct Page; fn f() { g(t::Instant::now) }")],
        &[&clock],
    );
    let others = "in src/ that is for src/store/, src/committer/commit.rs, src/log/epoch.rs, src/host/open.rs";
    let commit = format!("word: src/log/count.rs knows .commit (.commit; {others})");
    assert_found(&[("src/log/count.rs", "fn f(engine: E) { vec![engine.commit()] }")], &[&commit]);
}

#[test]
fn what_is_too_long_is_found() {
    let lines = |count: usize| "\n".repeat(count);
    let function = format!("fn long() {{{}}}", lines(70));
    assert_found(
        &[("src/edge/page.rs", &function), ("src/edge/page/tests.rs", &lines(401))],
        &[
            "size: src/edge/page.rs: fn long (71 lines, 70 are allowed)",
            "size: src/edge/page/tests.rs (401 lines, 400 are allowed)",
        ],
    );
}

#[test]
fn a_path_that_leads_nowhere_is_found() {
    assert_found(
        &[("src/session/page.rs", "pub struct Page; use crate::log::Gone;")],
        &["lost: src/session/page.rs names crate::log::Gone (this test does not find what that is)"],
    );
}

#[test]
fn a_file_that_is_no_module_is_found() {
    assert_found(
        &[("src/session/old.rs", ""), ("src/session/tests/old.rs", "")],
        &["lost: src/session/old.rs (no `mod` leads to this file)"],
    );
}

#[test]
fn what_is_known_is_no_failure_until_it_is_mended() {
    const DETOUR: Tree<'_> = &[("src/session/send.rs", "use super::Page; pub fn send(page: Page) {}")];
    let known = "detour: src/session/send.rs goes through src/session/mod.rs";
    assert_eq!(report(DETOUR, &[known]), "");
    assert_eq!(report(&[], &[known]), format!("\nmended, remove it from KNOWN: {known}\n"));
}

#[test]
#[should_panic = "MAY: base must not name host, which is not below it"]
fn a_list_that_points_up_is_found() {
    rooms::assert_lists_point_down(&[("host", &["base"]), ("base", &["host"])]);
}
