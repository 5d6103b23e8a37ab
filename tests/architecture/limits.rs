//! docs/limits.md names a test for each bound.

use std::fs;

use crate::{root, sizes};

/// What stands in backticks in the last column of a row of a Markdown table; None where `line` is no row.
fn named_in_last_column(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix('|')?.trim_end().strip_suffix('|')?;
    let last = row.rsplit('|').next()?;
    Some(last.split('`').skip(1).step_by(2).collect())
}

#[test]
fn each_bound_has_a_test_that_shows_it() {
    let page = fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let folders = ["src/", "tests/", "crates/proto/", "crates/client/"];
    let is_in = |name: &str| folders.iter().any(|folder| name.starts_with(folder));
    let tests: String =
        sizes::sources(&root()).into_iter().filter(|(name, _)| is_in(name)).map(|(_, text)| text).collect();
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
