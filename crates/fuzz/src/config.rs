//! A configuration, from a file or from variables.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use hongyan::config::{Config, Inputs, Purpose, load, to_toml};

use crate::{grammar, net::Rng};

pub fn run(data: &[u8]) {
    let Some((&how, input)) = data.split_first() else { return };
    let (inputs, _file) = if how & 1 == 0 { from_file(input) } else { (from_variables(input), None) };
    match load(&inputs, Purpose::Inspect) {
        Ok(config) => reads_back(&config),
        Err(problems) => assert!(!problems.to_string().is_empty(), "refused without a word"),
    }
}

/// What is printed means the same.
fn reads_back(config: &Config) {
    let printed = to_toml(config);
    let (inputs, _file) = from_file(printed.as_bytes());
    match load(&inputs, Purpose::Inspect) {
        Ok(again) => assert_eq!(to_toml(&again), printed),
        Err(problems) => panic!("what was printed is refused: {problems}\n{printed}"),
    }
}

fn from_file(text: &[u8]) -> (Inputs, Option<tempfile::NamedTempFile>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    (Inputs { file: Some(file.path().into()), ..Inputs::default() }, Some(file))
}

/// A line each: a name without its prefix, `=`, a value.
fn from_variables(input: &[u8]) -> Inputs {
    let variable = |line: &[u8]| {
        let at = line.iter().position(|byte| *byte == b'=')?;
        let name = [b"HONGYAN_", &line[..at]].concat();
        Some((OsStr::from_bytes(&name).to_owned(), OsStr::from_bytes(&line[at + 1..]).to_owned()))
    };
    let env = input.split(|byte| *byte == b'\n').filter_map(variable);
    // A file that a variable names would be read; what is on this machine is not the question.
    Inputs { env: env.filter(|(name, _)| name != "HONGYAN_CONFIG").collect(), ..Inputs::default() }
}

pub fn generate(rng: &mut Rng) -> Vec<u8> {
    let defaults = to_toml(&Config::default());
    let mut lines: Vec<&str> = defaults.lines().filter(|line| line.starts_with('[') || line.contains(" = ")).collect();
    lines.retain(|line| line.starts_with('[') || rng.below(6) == 0);
    let mut text = lines.join("\n").into_bytes();
    (0..rng.below(4)).for_each(|_| grammar::mutate(&mut text, rng));
    [&[0], &text[..]].concat()
}
