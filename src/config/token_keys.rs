//! The keys that verify tokens of an app's backend: a list of tables, so a kind of its own.
//!
//! Only where a key is and what it may be used for. The files are read, and their contents judged, by whoever verifies
//! tokens. The algorithm belongs to the key: a token cannot choose another.

use std::path::PathBuf;

use figment::{
    providers::{Format, Toml},
    value::{Dict, Value},
};

use super::kind::{Fault, FilePath, Kind, Name, Scalar, quoted, scalar_text, shown};

/// A key that verifies tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKey {
    /// The name by which a token refers to it; unique among the keys.
    pub kid: String,
    pub material: KeyMaterial,
}

/// Where a key is read from, which also settles its algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMaterial {
    /// HMAC with SHA-256 under a shared secret: the bytes of the file without white space at its end, at least 32.
    Hs256 { secret_file: PathBuf },
    /// Ed25519: a public key in PEM.
    EdDsa { public_key_file: PathBuf },
}

const FIELDS: [&str; 4] = ["kid", "alg", "secret_file", "public_key_file"];

pub(super) struct TokenKeys;

impl Kind for TokenKeys {
    type Value = Vec<TokenKey>;

    fn allowed(&self) -> String {
        "an array of tables with kid, alg (\"HS256\" or \"EdDSA\") and secret_file or public_key_file".to_owned()
    }

    fn read(&self, raw: &Value) -> Result<Vec<TokenKey>, Vec<Fault>> {
        // A variable holds the array as TOML in one line.
        let parsed = raw.as_str().and_then(|text| Toml::from_str::<Dict>(&format!("keys = {text}")).ok());
        let raw = parsed.as_ref().and_then(|dict| dict.get("keys")).unwrap_or(raw);
        let Value::Array(_, items) = raw else {
            return Err(vec![fault("", Some(raw), format!("must be {}", self.allowed()))]);
        };
        let mut keys: Vec<TokenKey> = Vec::new();
        let mut faults = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match read_key(item) {
                Ok(key) if keys.iter().any(|other| other.kid == key.kid) => faults.push(Fault {
                    at: format!("[{index}].kid"),
                    value: Some(quoted(&key.kid)),
                    message: "must be unique, and another key has this kid".to_owned(),
                }),
                Ok(key) => keys.push(key),
                Err(more) => faults.extend(more.into_iter().map(|f| Fault { at: format!("[{index}]{}", f.at), ..f })),
            }
        }
        if faults.is_empty() { Ok(keys) } else { Err(faults) }
    }

    fn write(&self, keys: &Vec<TokenKey>) -> String {
        let tables: Vec<String> = keys.iter().map(write_key).collect();
        format!("[{}]", tables.join(", "))
    }
}

fn fault(at: &str, value: Option<&Value>, message: String) -> Fault {
    Fault { at: at.to_owned(), value: value.map(shown), message }
}

fn read_key(item: &Value) -> Result<TokenKey, Vec<Fault>> {
    let Value::Dict(_, table) = item else {
        // Not shown: a secret may have been written here by mistake.
        return Err(vec![fault("", None, "must be a table".to_owned())]);
    };
    let mut faults: Vec<Fault> = table
        .keys()
        .filter(|name| !FIELDS.contains(&name.as_str()))
        .map(|name| fault(&format!(".{name}"), None, format!("is unknown; a key has {}", FIELDS.join(", "))))
        .collect();
    let kid = field(table, "kid", &Name, &mut faults);
    let material = read_material(table, &mut faults);
    match (kid, material) {
        (Some(kid), Some(material)) if faults.is_empty() => Ok(TokenKey { kid, material }),
        _ => Err(faults),
    }
}

/// The algorithm decides which file is needed, and the other must not be there.
fn read_material(table: &Dict, faults: &mut Vec<Fault>) -> Option<KeyMaterial> {
    let alg = table.get("alg");
    let alg_text = alg.and_then(Value::as_str);
    let other = match alg_text {
        Some("HS256") => "public_key_file",
        Some("EdDSA") => "secret_file",
        _ => {
            faults.push(fault(".alg", alg, "must be \"HS256\" or \"EdDSA\"".to_owned()));
            return None;
        }
    };
    if let Some(value) = table.get(other) {
        faults.push(fault(&format!(".{other}"), Some(value), "does not belong to this alg; remove it".to_owned()));
    }
    if alg_text == Some("HS256") {
        field(table, "secret_file", &FilePath, faults).map(|secret_file| KeyMaterial::Hs256 { secret_file })
    } else {
        field(table, "public_key_file", &FilePath, faults).map(|public_key_file| KeyMaterial::EdDsa { public_key_file })
    }
}

fn field<S: Scalar>(table: &Dict, name: &str, kind: &S, faults: &mut Vec<Fault>) -> Option<S::Value> {
    let raw = table.get(name);
    let value = raw.and_then(scalar_text).and_then(|text| kind.parse(&text));
    if value.is_none() {
        faults.push(fault(&format!(".{name}"), raw, format!("must be {}", kind.allowed())));
    }
    value
}

fn write_key(key: &TokenKey) -> String {
    let (alg, name, file) = match &key.material {
        KeyMaterial::Hs256 { secret_file } => ("HS256", "secret_file", secret_file),
        KeyMaterial::EdDsa { public_key_file } => ("EdDSA", "public_key_file", public_key_file),
    };
    format!("{{ kid = {}, alg = \"{alg}\", {name} = {} }}", quoted(&key.kid), quoted(&FilePath.show(file)))
}
