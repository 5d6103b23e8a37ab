//! A configuration as commented TOML that reads back as the same configuration.

use super::{
    kind::Kind,
    sections::Config,
    setting::{Setting, Visitor},
};

const HEAD: &str = "\
# Configuration of a Hongyan server. Rising precedence: defaults, this file (--config FILE or HONGYAN_CONFIG),
# variables (HONGYAN_LIMITS__MAX_FRAME for limits.max_frame), flags. `hongyan check-config` checks it.
# Durations have a unit: ms, s, m, h, d. Sizes too: B, KiB, MiB, GiB.
";

/// Writes every setting with its documentation, its default and what is allowed.
pub fn to_toml(config: &Config) -> String {
    let mut defaults = Defaults { texts: Vec::new() };
    Config::default().visit("", &mut defaults);
    let mut printer = Printer { defaults: defaults.texts.into_iter(), out: HEAD.to_owned() };
    config.clone().visit("", &mut printer);
    printer.out
}

/// The defaults as TOML, in the order of the visit.
struct Defaults {
    texts: Vec<String>,
}

impl Visitor for Defaults {
    fn section(&mut self, _name: &'static str, _docs: &'static [&'static str]) {}

    fn setting<K: Kind>(&mut self, _setting: Setting, kind: K, value: &mut K::Value) {
        self.texts.push(kind.write(value));
    }
}

struct Printer {
    defaults: std::vec::IntoIter<String>,
    out: String,
}

impl Printer {
    fn comment(&mut self, text: &str) {
        self.out.push_str(&format!("# {}\n", text.trim()));
    }
}

impl Visitor for Printer {
    fn section(&mut self, name: &'static str, docs: &'static [&'static str]) {
        if !name.is_empty() {
            self.out.push('\n');
            docs.iter().for_each(|doc| self.comment(doc));
            self.out.push_str(&format!("[{name}]\n"));
        }
    }

    fn setting<K: Kind>(&mut self, setting: Setting, kind: K, value: &mut K::Value) {
        let default = self.defaults.next().expect("both visits pass the same settings");
        self.out.push('\n');
        setting.docs.iter().for_each(|doc| self.comment(doc));
        self.comment(&format!("Default: {default}. Allowed: {}.", kind.allowed()));
        self.out.push_str(&format!("{} = {}\n", setting.name, kind.write(value)));
    }
}
