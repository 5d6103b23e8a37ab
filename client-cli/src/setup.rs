//! From what was typed to what is done: flags, environment and profile become one set-up of a login.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hongyan_client::{Credential, DeviceName, Uid};

use crate::{
    args::Global,
    exit::Failure,
    profile::{DEFAULT, Profile, Profiles},
};

pub const DEFAULT_SERVER: &str = "127.0.0.1:7600";

/// The directories of this user.
pub struct Directories {
    pub config: PathBuf,
    pub state: PathBuf,
}

impl Directories {
    /// By the XDG rules, where `state` does not say otherwise: relative values count as unset. `env` reads the
    /// environment.
    pub fn new(state: Option<PathBuf>, env: impl Fn(&str) -> Option<OsString>) -> Result<Self, Failure> {
        let home = || {
            let home = env("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
            home.ok_or_else(|| {
                Failure::usage("HOME is not set: give --state, or set XDG_STATE_HOME and XDG_CONFIG_HOME")
            })
        };
        let place = |name: &str, below: &str| match env(name).map(PathBuf::from).filter(|dir| dir.is_absolute()) {
            Some(dir) => Ok(dir),
            None => home().map(|home| home.join(below)),
        };
        Ok(Self {
            config: place("XDG_CONFIG_HOME", ".config")?,
            state: match state {
                Some(state) => state,
                None => place("XDG_STATE_HOME", ".local/state")?.join("hongyan"),
            },
        })
    }
}

/// A login that is fully decided. It holds secrets, so it has no Debug.
pub struct Setup {
    pub server: String,
    pub uid: Uid,
    pub credential: Credential,
    /// The token that `credential` was made of.
    pub token: Option<String>,
    pub ca: Option<PathBuf>,
    pub device: Option<DeviceName>,
    pub state: PathBuf,
    pub ephemeral: bool,
    pub connect_timeout: Duration,
}

/// A password from the first line of stdin, if it was asked for. Everything behind that line stays unread.
pub fn stdin_password(global: &Global) -> Result<Option<String>, Failure> {
    if !global.password_stdin {
        return Ok(None);
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(|error| Failure::local("cannot read the password from stdin", error))?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return Err(Failure::usage("--password-stdin: the first line of stdin is empty"));
    }
    Ok(Some(password.to_owned()))
}

/// The token that was given by a flag, a file or the environment. A flag beats the environment.
pub fn given_token(global: &Global) -> Result<Option<String>, Failure> {
    let Some(path) = &global.token_file else {
        return Ok(global.token.clone().filter(|token| !token.is_empty()));
    };
    let text = fs::read_to_string(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    match text.trim() {
        "" => Err(Failure::usage(format!("{}: the file is empty, not a token", path.display()))),
        token => Ok(Some(token.to_owned())),
    }
}

/// The subject of a JSON Web Token. Nothing is verified: that is the server's part.
pub fn token_subject(token: &str) -> Option<Uid> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    Uid::new(claims.get("sub")?.as_str()?).ok()
}

/// The profile that this run uses, if any.
pub fn chosen_profile(global: &Global, profiles: &Profiles) -> Result<Option<Profile>, Failure> {
    let told_who = global.uid.is_some()
        || global.token.as_ref().is_some_and(|token| !token.is_empty())
        || global.token_file.is_some();
    let profile = match &global.profile {
        Some(name) => match profiles.load(name)? {
            None => {
                return Err(Failure::usage(format!(
                    "there is no profile {name:?}: make it with login --profile {name}"
                )));
            }
            found => found,
        },
        None if told_who => None,
        None => profiles.load(DEFAULT)?,
    };
    if let (Some(profile), Some(server)) = (&profile, &global.server)
        && profile.server != *server
    {
        // Sending what proves this user's identity to another server would give it away.
        let what = format!(
            "the profile is for {}, not for {server}: give --uid and a token, or log in there with login --profile NAME",
            profile.server
        );
        return Err(Failure::usage(what));
    }
    Ok(profile)
}

impl Setup {
    /// Decides everything that [`Global`] leaves open.
    pub fn new(
        global: &Global,
        profile: Option<Profile>,
        password: Option<String>,
        state: &Path,
    ) -> Result<Self, Failure> {
        let given = given_token(global)?;
        if given.is_some() && password.is_some() {
            return Err(Failure::usage("give a token or a password, not both"));
        }
        let token = match (&given, &password) {
            (None, None) => profile.as_ref().and_then(|profile| profile.token.clone()),
            _ => given,
        };
        let uid = who(global, profile.as_ref(), token.as_deref())?;
        let server = global.server.clone().or(profile.as_ref().map(|profile| profile.server.clone()));
        let credential = match (&token, password) {
            (_, Some(password)) => Credential::Password(password.into()),
            (Some(token), None) => Credential::Token(token.as_str().into()),
            (None, None) => Credential::None,
        };
        Ok(Self {
            server: server.unwrap_or_else(|| DEFAULT_SERVER.to_owned()),
            uid,
            credential,
            token,
            ca: global.ca.clone().or(profile.and_then(|profile| profile.ca)),
            device: global.device.as_deref().map(DeviceName::new).transpose()?,
            state: state.to_owned(),
            ephemeral: global.ephemeral,
            connect_timeout: global.timeout.map_or(global.connect_timeout, |all| all.min(global.connect_timeout)),
        })
    }
}

fn who(global: &Global, profile: Option<&Profile>, token: Option<&str>) -> Result<Uid, Failure> {
    let subject = token.and_then(token_subject);
    let uid = match (&global.uid, profile) {
        (Some(uid), Some(profile)) if *uid != profile.uid => {
            let what = format!("the profile is for {}, not for {uid}: leave out --profile or --uid", profile.uid);
            return Err(Failure::usage(what));
        }
        (Some(uid), _) => Some(Uid::new(uid)?),
        // A token that is given in place of the profile's may be somebody else's.
        (None, Some(profile)) => Some(subject.clone().map_or_else(|| Uid::new(&profile.uid), Ok)?),
        (None, None) => subject.clone(),
    };
    match (uid, subject) {
        (Some(uid), Some(subject)) if uid != subject => {
            Err(Failure::usage(format!("the token is for {subject}, not for {uid}")))
        }
        (Some(uid), _) => Ok(uid),
        (None, _) if token.is_some() => Err(Failure::usage("the token names no subject: give --uid")),
        (None, _) => Err(Failure::usage(
            "no user: give --uid with --token-file or --password-stdin, or log in once with `hongyan-cli login`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("eyJhbGciOiJFZERTQSJ9.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    fn profile() -> Profile {
        Profile { server: "h:1".into(), uid: "alice".into(), token: Some(token(r#"{"sub":"alice"}"#)), ca: None }
    }

    fn decide(global: Global, profile: Option<Profile>, password: Option<&str>) -> Result<Setup, String> {
        Setup::new(&global, profile, password.map(Into::into), Path::new("/s")).map_err(|failure| failure.message)
    }

    #[test]
    fn the_uid_comes_from_the_flag_the_token_or_the_profile() {
        let given =
            |uid: Option<&str>, token: Option<String>| Global { uid: uid.map(Into::into), token, ..Global::default() };
        let bob = || Some(token(r#"{"sub":"bob"}"#));
        assert_eq!(decide(given(None, bob()), None, None).unwrap().uid.as_str(), "bob");
        assert_eq!(decide(given(None, bob()), Some(profile()), None).unwrap().uid.as_str(), "bob");
        assert_eq!(decide(given(Some("x"), Some("opaque".into())), None, None).unwrap().uid.as_str(), "x");
        assert_eq!(decide(given(None, None), Some(profile()), None).unwrap().uid.as_str(), "alice");
        for wrong in
            [given(None, None), given(Some("a b"), None), given(Some("eve"), bob()), given(None, Some("opaque".into()))]
        {
            assert!(decide(wrong, None, None).is_err());
        }
        assert!(decide(given(Some("bob"), None), Some(profile()), None).is_err(), "another user than the profile's");
    }

    #[test]
    fn one_credential_is_chosen() {
        let global = || Global { uid: Some("alice".into()), ..Global::default() };
        assert!(matches!(decide(global(), None, None).unwrap().credential, Credential::None));
        assert!(matches!(decide(global(), None, Some("pw")).unwrap().credential, Credential::Password(_)));
        assert!(matches!(decide(global(), Some(profile()), None).unwrap().credential, Credential::Token(_)));
        let setup = decide(global(), Some(profile()), Some("pw")).unwrap();
        assert!(matches!(setup.credential, Credential::Password(_)) && setup.token.is_none());
        let both = Global { token: Some("opaque".into()), ..global() };
        assert!(decide(both, None, Some("pw")).is_err());
    }

    #[test]
    fn the_profile_gives_server_and_never_logs_in_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let profiles = Profiles::new(dir.path());
        assert!(chosen_profile(&Global::default(), &profiles).unwrap().is_none());
        profiles.save(DEFAULT, &profile()).unwrap();
        assert!(chosen_profile(&Global::default(), &profiles).unwrap() == Some(profile()));
        let uid = Global { uid: Some("alice".into()), ..Global::default() };
        assert!(chosen_profile(&uid, &profiles).unwrap().is_none());
        let missing = Global { profile: Some("work".into()), ..Global::default() };
        assert!(chosen_profile(&missing, &profiles).is_err());
        let elsewhere = Global { server: Some("h:2".into()), ..Global::default() };
        assert!(chosen_profile(&elsewhere, &profiles).is_err());
        assert_eq!(decide(Global::default(), Some(profile()), None).unwrap().server, "h:1");
        assert_eq!(decide(uid, None, None).unwrap().server, DEFAULT_SERVER);
    }

    #[test]
    fn a_token_file_is_trimmed_and_an_empty_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t");
        let global = Global { token_file: Some(file.clone()), token: Some("other".into()), ..Global::default() };
        assert!(given_token(&global).is_err(), "missing");
        fs::write(&file, " tok\n").unwrap();
        assert_eq!(given_token(&global).unwrap().as_deref(), Some("tok"));
        fs::write(&file, "\n").unwrap();
        assert!(given_token(&global).is_err());
    }

    #[test]
    fn directories_follow_xdg() {
        let home = Directories::new(None, |name| (name == "HOME").then(|| "/h".into())).unwrap();
        assert_eq!((home.config, home.state), ("/h/.config".into(), "/h/.local/state/hongyan".into()));
        let set = Directories::new(None, |name| (name != "HOME").then(|| format!("/x/{name}").into())).unwrap();
        assert_eq!((set.config, set.state), ("/x/XDG_CONFIG_HOME".into(), "/x/XDG_STATE_HOME/hongyan".into()));
        assert!(Directories::new(None, |_| Some("relative".into())).is_err());
    }
}
