//! Where settings come from: a TOML file, `HONGYAN_*` variables, flags; and putting them over each other.
//!
//! Only text is moved here. What the values mean is for [`super::load()`].

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use figment::{
    Error, Figment, Metadata, Profile, Provider,
    providers::{Format, Toml},
    util::nest,
    value::{Dict, Map, Value},
};

use super::problem::Problem;

/// Variables of the server begin so; a section and its setting are joined by two underscores.
pub const PREFIX: &str = "HONGYAN_";
/// Names the file where no flag does.
const FILE_VARIABLE: &str = "HONGYAN_CONFIG";

/// Variables with the prefix that are not ours: those that Kubernetes sets in every container for a service named
/// `hongyan`, those of the client program, and those that steer tests.
const FOREIGN: [&str; 4] = ["HONGYAN_SERVICE_", "HONGYAN_PORT", "HONGYAN_CLI_", "HONGYAN_TEST_"];

/// A setting given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As it was typed, such as `--listen`.
    pub name: &'static str,
    /// Such as `listen`.
    pub key: &'static str,
    pub value: String,
}

/// Everything a configuration is made from, beside the defaults.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The file of `--config`; without it the one that `HONGYAN_CONFIG` names, if any.
    pub file: Option<PathBuf>,
    /// The environment of the process. Variables without the prefix are left alone.
    pub env: Vec<(OsString, OsString)>,
    pub flags: Vec<Flag>,
}

/// Values and the one source they all came from.
struct Layer {
    source: String,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

impl Layer {
    fn one(source: String, key: &str, value: &str) -> Self {
        let values = nest(key, Value::from(value)).into_dict().expect("a key that is not empty nests into a table");
        Self { source, values }
    }
}

/// The sources merged in rising precedence, and the problems of those that could not be read.
pub(super) fn merged(inputs: &Inputs) -> (Figment, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut layers = Vec::new();
    let (variables, file_of_env) = variables(inputs, &mut problems);
    if let Some(path) = inputs.file.clone().or(file_of_env) {
        match file(&path) {
            Ok(layer) => layers.push(layer),
            Err(problem) => problems.push(problem),
        }
    }
    layers.extend(variables);
    layers.extend(inputs.flags.iter().map(|f| Layer::one(format!("flag {}", f.name), f.key, &f.value)));
    (layers.into_iter().fold(Figment::new(), Figment::merge), problems)
}

fn file(path: &Path) -> Result<Layer, Problem> {
    let problem = |message| Problem { subject: path.display().to_string(), source: None, value: None, message };
    let text = std::fs::read_to_string(path)
        .map_err(|e| problem(format!("this configuration file cannot be read: {e}; check the path and its rights")))?;
    match Toml::from_str::<Dict>(&text) {
        Ok(values) => Ok(Layer { source: format!("file {}", path.display()), values }),
        Err(e) => {
            // The parser's own display would print the line, and with it perhaps a secret.
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Err(problem(format!("line {line} is not valid TOML: {}", e.message().trim_end())))
        }
    }
}

/// The layers of the variables, and the file that one of them names.
fn variables(inputs: &Inputs, problems: &mut Vec<Problem>) -> (Vec<Layer>, Option<PathBuf>) {
    let mut layers = Vec::new();
    let mut file = None;
    for (name, value) in &inputs.env {
        let Some((name, rest)) = name.to_str().and_then(|name| Some((name, name.strip_prefix(PREFIX)?))) else {
            continue;
        };
        if name == FILE_VARIABLE {
            file = (!value.is_empty()).then(|| value.into());
        } else if rest.is_empty() || FOREIGN.iter().any(|foreign| name.starts_with(foreign)) {
            continue;
        } else {
            match variable(name, rest, value) {
                Ok(layer) => layers.push(layer),
                Err(problem) => problems.push(problem),
            }
        }
    }
    (layers, file)
}

/// `HONGYAN_LIMITS__MAX_FRAME` gives `limits.max_frame`.
fn variable(name: &str, rest: &str, value: &OsStr) -> Result<Layer, Problem> {
    let key = rest.to_ascii_lowercase().replace("__", ".");
    let source = format!("variable {name}");
    let problem = |message: &str| Problem {
        subject: key.clone(),
        source: Some(source.clone()),
        value: None,
        message: message.to_owned(),
    };
    if key.split('.').any(str::is_empty) {
        return Err(problem("is unknown; write HONGYAN_SECTION__SETTING, such as HONGYAN_LIMITS__MAX_FRAME"));
    }
    let text = value.to_str().ok_or_else(|| problem("must be UTF-8"))?;
    Ok(Layer::one(source.clone(), &key, text))
}
