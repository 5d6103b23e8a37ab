//! From merged sources to a [`Config`]: every setting read, every unknown key found, all problems together.

use std::collections::{BTreeMap, BTreeSet};

use figment::{
    Figment,
    value::{Tag, Value},
};

use super::{
    kind::{Kind, quoted, shown},
    layers::{Inputs, merged},
    problem::{Problem, Problems},
    sections::Config,
    setting::{Setting, Visitor},
    validate::{Given, Purpose, check},
};

/// Loads and validates the configuration.
///
/// Precedence rises from the defaults through the file and the variables to the flags.
///
/// # Errors
///
/// All problems of all sources at once.
pub fn load(inputs: &Inputs, purpose: Purpose) -> Result<Config, Problems> {
    let (figment, mut problems) = merged(inputs);
    // A source that is missing as a whole may have held any setting, so rules between settings would mislead.
    let is_complete = problems.is_empty();
    let root = figment.find_value("").map_err(|e| unreadable(&e))?;

    let mut config = Config::default();
    let mut reader = Reader::new(&root, &figment);
    config.visit("", &mut reader);
    let Reader { keys, sections, given, problems: found, .. } = reader;
    problems.extend(found);
    unknown(&root, "", &Known { keys: &keys, sections: &sections, figment: &figment }, &mut problems);
    if is_complete {
        problems.extend(check(&config, &given, purpose));
    }
    if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
}

fn unreadable(error: &figment::Error) -> Problems {
    let message = format!("its sources cannot be merged: {error}");
    Problems(vec![Problem { subject: "configuration".to_owned(), source: None, value: None, message }])
}

/// Where a value came from.
fn source(figment: &Figment, tag: Tag) -> Option<String> {
    figment.get_metadata(tag).map(|metadata| metadata.name.to_string())
}

/// Reads every setting that a source gave, and keeps a list of all that exist.
struct Reader<'a> {
    root: &'a Value,
    figment: &'a Figment,
    keys: Vec<String>,
    sections: BTreeSet<&'static str>,
    given: Given,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn new(root: &'a Value, figment: &'a Figment) -> Self {
        let (sections, given) = (BTreeSet::new(), Given { sources: BTreeMap::new(), broken: BTreeSet::new() });
        Self { root, figment, keys: Vec::new(), sections, given, problems: Vec::new() }
    }
}

impl Visitor for Reader<'_> {
    fn section(&mut self, name: &'static str, _docs: &'static [&'static str]) {
        if !name.is_empty() {
            self.sections.insert(name);
        }
    }

    fn setting<K: Kind>(&mut self, setting: Setting, kind: K, value: &mut K::Value) {
        let key = setting.key();
        if let Some(raw) = self.root.find_ref(&key) {
            let source = source(self.figment, raw.tag());
            match kind.read(raw) {
                Ok(read) => *value = read,
                Err(faults) => {
                    self.given.broken.insert(key.clone());
                    self.problems.extend(faults.into_iter().map(|fault| Problem {
                        subject: format!("{key}{}", fault.at),
                        source: source.clone(),
                        value: fault.value,
                        message: fault.message,
                    }));
                }
            }
            self.given.sources.extend(source.map(|source| (key.clone(), source)));
        }
        self.keys.push(key);
    }
}

struct Known<'a> {
    keys: &'a [String],
    sections: &'a BTreeSet<&'static str>,
    figment: &'a Figment,
}

/// Reports what is given but does not exist. Values of unknown keys are not shown: they may be secrets gone astray.
fn unknown(table: &Value, path: &str, known: &Known<'_>, problems: &mut Vec<Problem>) {
    for (name, value) in table.as_dict().into_iter().flatten() {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        // A quoted name that is empty or has a dot in it spells the path of another setting, and is none.
        let is_plain = !name.is_empty() && !name.contains('.');
        let is_section = is_plain && known.sections.contains(key.as_str());
        if is_plain && known.keys.contains(&key) {
            continue;
        }
        if is_plain && value.as_dict().is_some_and(|inner| is_section || !inner.is_empty()) {
            unknown(value, &key, known, problems);
            continue;
        }
        let message = if is_section {
            format!("is a section, not a setting; write for example {}", first_of(&key, known))
        } else {
            match nearest(&key, known.keys) {
                Some(near) => format!("is unknown; did you mean {near}?"),
                None => "is unknown; `hongyan print-config --defaults` lists all settings".to_owned(),
            }
        };
        let source = source(known.figment, value.tag());
        problems.push(Problem {
            subject: if is_plain { key } else { quoted(&key) },
            source,
            value: is_section.then(|| shown(value)),
            message,
        });
    }
}

fn first_of<'a>(section: &str, known: &'a Known<'_>) -> &'a str {
    let is_in = |key: &&String| key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
    known.keys.iter().find(is_in).map_or("", String::as_str)
}

/// How alike two keys must be for one to be suggested for the other, from 0 to 1.
const ALIKE: f64 = 0.75;

/// The known key that an unknown one was most likely meant to be: the same name in another section, or the most alike.
fn nearest<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    let name = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let likeness = |candidate: &str| {
        let whole = strsim::normalized_damerau_levenshtein(key, candidate);
        let is_moved = name(key) == name(candidate);
        let names = strsim::normalized_damerau_levenshtein(
            &name(key).unwrap_or_default(),
            &name(candidate).unwrap_or_default(),
        );
        // A misplaced name counts nearly as much as a misspelt key; the whole key decides between equals.
        if is_moved { 1.0 + whole } else { whole.max(names * 0.95) }
    };
    known
        .iter()
        .map(|candidate| (likeness(candidate), candidate.as_str()))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
