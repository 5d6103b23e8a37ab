//! Profiles: who logs in where, kept by `login` under the user's configuration directory, readable by nobody else.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// The profile that is used when none is named.
pub const DEFAULT: &str = "default";

/// What a profile keeps. It holds a token, so it has no Debug.
#[derive(Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub server: String,
    pub uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// None: the devices come back with their resume tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// The directory of profiles.
pub struct Profiles {
    dir: PathBuf,
}

impl Profiles {
    pub fn new(config_dir: &Path) -> Self {
        Self { dir: config_dir.join("hongyan/profiles") }
    }

    /// The file of a profile.
    pub fn path(&self, name: &str) -> Result<PathBuf, Failure> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(legal) {
            let what = format!("the profile name {name:?} is not valid: use letters, digits, _ - and . (not first)");
            return Err(Failure::usage(what));
        }
        Ok(self.dir.join(format!("{name}.toml")))
    }

    /// None: there is no such profile.
    pub fn load(&self, name: &str) -> Result<Option<Profile>, Failure> {
        let path = self.path(name)?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::local(path.display(), error)),
        };
        // The parser's own message would quote the line, and with it the token.
        toml::from_str(&text).map(Some).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
            Failure::usage(format!("{}: line {line} is not valid: {}; log in again", path.display(), error.message()))
        })
    }

    /// Writes a profile, mode 0600, whole or not at all.
    pub fn save(&self, name: &str, profile: &Profile) -> Result<PathBuf, Failure> {
        let path = self.path(name)?;
        let text = toml::to_string(profile).expect("a profile is a flat table");
        private_dir(&self.dir)?;
        let draft = path.with_extension("toml.new");
        let written = write_private(&draft, text.as_bytes())
            .and_then(|()| fs::rename(&draft, &path))
            .and_then(|()| hongyan_directory::sync(&self.dir));
        written.map_err(|error| Failure::local(path.display(), error))?;
        Ok(path)
    }

    /// False: there was none.
    pub fn remove(&self, name: &str) -> Result<bool, Failure> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Failure::local(path.display(), error)),
        }
    }
}

/// Makes a directory and what is missing above it, for this user alone.
pub fn private_dir(dir: &Path) -> Result<(), Failure> {
    hongyan_directory::create(dir)
        .map_err(|error| Failure::local(format!("cannot make the directory {}", dir.display()), error))
}

/// Writes a new file that nobody else can read, even if one lies there that others can.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn profile() -> Profile {
        Profile { server: "h:1".into(), uid: "alice".into(), token: Some("secret".into()), ..Default::default() }
    }

    #[test]
    fn a_profile_survives_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let profiles = Profiles::new(dir.path());
        assert!(profiles.load(DEFAULT).unwrap().is_none());
        let path = profiles.save(DEFAULT, &profile()).unwrap();
        assert!(profiles.load(DEFAULT).unwrap() == Some(profile()));
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        profiles.save(DEFAULT, &profile()).unwrap();
        assert_eq!(mode(&path), 0o600, "also when it replaces one that others could read");
        assert!(profiles.remove(DEFAULT).unwrap());
        assert!(!profiles.remove(DEFAULT).unwrap());
    }

    #[test]
    fn names_stay_inside_the_directory() {
        let profiles = Profiles::new(Path::new("/nowhere"));
        for bad in ["", "..", "../x", "a/b", ".hidden", "a\nb", &"x".repeat(65)] {
            assert!(profiles.path(bad).is_err(), "{bad:?}");
        }
        assert_eq!(profiles.path("work-2.a").unwrap(), Path::new("/nowhere/hongyan/profiles/work-2.a.toml"));
    }

    #[test]
    fn a_damaged_profile_is_told_without_its_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let profiles = Profiles::new(dir.path());
        let path = profiles.save(DEFAULT, &profile()).unwrap();
        fs::write(path, "server = 'h:1'\nuid = 'a'\ntoken = 'secret' oops\n").unwrap();
        let failure = profiles.load(DEFAULT).err().unwrap();
        assert!(failure.message.contains("line 3") && !failure.message.contains("secret"), "{}", failure.message);
    }
}
