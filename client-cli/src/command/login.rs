//! `login` and `logout`: profiles come and go.

use crate::{
    args::Global,
    exit::{Exit, Failure},
    output::Output,
    profile::{DEFAULT, Profile, Profiles},
    session::{Login, Trace},
    setup::{self, DEFAULT_SERVER, Directories, Setup},
    slot::{Devices, Family},
    terminal,
};

/// How many devices of each family a login by password prepares, since none can be added without the password.
const DEVICES_WITHOUT_TOKEN: usize = 2;

/// Logs in with the first devices of every family, so that each has a resume token, and keeps the profile.
pub async fn log_in(global: &Global, directories: &Directories, output: Output) -> Result<Exit, Failure> {
    let profiles = Profiles::new(&directories.config);
    let name = global.profile.as_deref().unwrap_or(DEFAULT);
    let before = profiles.load(name)?;
    let (global, password) = ask(global, before.as_ref())?;
    if password.is_some() && global.ephemeral {
        return Err(Failure::usage("a password is not kept, so its devices must be: leave out --ephemeral"));
    }
    let setup = Setup::new(&global, None, password, &directories.state)?;
    let login = Login { setup, output, trace: Trace::new(&global) };
    let each = if login.setup.token.is_some() { 1 } else { DEVICES_WITHOUT_TOKEN };
    let only_one = login.setup.device.is_some() || login.setup.ephemeral;
    let families = Family::ALL.iter().flat_map(|family| std::iter::repeat_n(*family, each));
    let mut sessions = Vec::new();
    // Open at the same time, so that each is another device.
    for family in families.take(if only_one { 1 } else { usize::MAX }) {
        sessions.push(login.open(family).await?);
    }
    for session in sessions {
        session.client.close().await;
    }
    let Setup { server, uid, token, ca, .. } = login.setup;
    let ca = ca.map(std::path::absolute).transpose()?;
    let path = profiles.save(name, &Profile { server: server.clone(), uid: uid.to_string(), ca, token })?;
    output.note(&format!("logged in as {uid} at {server}; kept in {}", path.display()));
    Ok(Exit::Done)
}

/// Completes what was typed: from an earlier profile of that name, then from the person at the terminal.
fn ask(global: &Global, before: Option<&Profile>) -> Result<(Global, Option<String>), Failure> {
    let mut global = global.clone();
    global.token = setup::given_token(&global)?;
    global.token_file = None;
    let mut password = setup::stdin_password(&global)?;
    let told = global.token.is_some() || password.is_some();
    let may_ask = terminal::is_interactive() && !told;
    if global.server.is_none() {
        let known = before.map_or(DEFAULT_SERVER, |profile| &profile.server);
        global.server = Some(if may_ask { ask_with_default("Server", known)? } else { known.to_owned() });
    }
    if global.ca.is_none() {
        global.ca = before.and_then(|profile| profile.ca.clone());
    }
    let knows_subject = global.token.as_deref().and_then(setup::token_subject).is_some();
    if global.uid.is_none() && !knows_subject {
        let known = before.map(|profile| profile.uid.as_str());
        global.uid = match known {
            known if may_ask => Some(ask_with_default("User", known.unwrap_or_default())?),
            known => known.map(Into::into),
        };
    }
    if told {
        return Ok((global, password));
    }
    if !may_ask {
        return Err(Failure::usage(
            "nothing to log in with: give --token-file or --password-stdin (there is no terminal to ask at)",
        ));
    }
    let secret =
        terminal::ask_hidden(&format!("Password or token of {}: ", global.uid.as_deref().unwrap_or_default()))?;
    if secret.is_empty() {
        return Err(Failure::usage("no password was given"));
    }
    match setup::token_subject(&secret) {
        Some(_) => global.token = Some(secret),
        None => password = Some(secret),
    }
    Ok((global, password))
}

fn ask_with_default(what: &str, known: &str) -> Result<String, Failure> {
    let question = if known.is_empty() { format!("{what}: ") } else { format!("{what} [{known}]: ") };
    let answer = terminal::ask(&question)?;
    Ok(if answer.trim().is_empty() { known.to_owned() } else { answer.trim().to_owned() })
}

/// Removes a profile and the stores of its devices, unless one of them is in use.
pub fn log_out(global: &Global, directories: &Directories, output: Output) -> Result<Exit, Failure> {
    let profiles = Profiles::new(&directories.config);
    let name = global.profile.as_deref().unwrap_or(DEFAULT);
    let Some(profile) = profiles.load(name)? else {
        return Err(Failure::usage(format!("there is no profile {name:?}")));
    };
    let uid = hongyan_client::Uid::new(&profile.uid)?;
    Devices::new(&directories.state, &profile.server, &uid).remove()?;
    profiles.remove(name)?;
    output.note(&format!("forgot {uid} at {}", profile.server));
    Ok(Exit::Done)
}
