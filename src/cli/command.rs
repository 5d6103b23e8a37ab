//! From the command line to a [`Command`]: what to do, with a configuration that holds.
//!
//! Nothing is executed here. What can be typed, and its help, is in `args/typed.rs`.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use super::typed::{PlaceFlags, ServeFlags, StoreVerb, TraceFlags, Typed, UserVerb, Verb};
use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use hongyan_proto::{ConversationId, DeviceName, Uid};
use thiserror::Error;

use crate::config::{Config, Inputs, Problems, Purpose, load};

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Run the server.
    Serve(Box<Config>),
    /// Say that this configuration, which has been checked, is ok.
    CheckConfig(Box<Config>),
    /// Print this configuration as TOML.
    PrintConfig(Box<Config>),
    User(Box<Config>, UserAction),
    Token(Box<Config>, TokenRequest),
    Store(Box<Config>, StoreAction),
    Trace(Box<Config>, TraceRequest),
    /// Print the completions for a shell, see [`write_completions`].
    Completions(Shell),
}

/// What to do with users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserAction {
    /// Add a user, without a password or with one read from standard input.
    Add {
        uid: Uid,
        password_stdin: bool,
    },
    /// Set the password read from standard input.
    Passwd {
        uid: Uid,
    },
    /// Refuse logins and cut connections.
    Disable {
        uid: Uid,
    },
    /// Undo [`UserAction::Disable`].
    Enable {
        uid: Uid,
    },
    /// Make all tokens given so far invalid and cut connections.
    Revoke {
        uid: Uid,
    },
    List {
        json: bool,
    },
}

/// A token to mint and print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    pub uid: Uid,
    /// At least 1 s.
    pub ttl: Duration,
    /// The only device the token is for.
    pub device: Option<DeviceName>,
}

/// What to do with the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAction {
    Verify,
    Export(PathBuf),
    Import(PathBuf),
    Backup(PathBuf),
    Compact,
}

/// A message whose way to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRequest {
    pub uid: Uid,
    pub message: Traced,
    pub json: bool,
}

/// Which of a user's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traced {
    Numbered { conversation: ConversationId, cseq: u64 },
    Sent { device: DeviceName, send_no: u64 },
}

/// Why there is nothing to do.
#[derive(Debug, Error)]
pub enum ArgsError {
    /// The command line is wrong, or asked for help or the version.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The command line is right, the configuration is not.
    #[error(transparent)]
    Config(#[from] Problems),
}

impl ArgsError {
    /// 0 for help and version, otherwise 2.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(e) => u8::try_from(e.exit_code()).unwrap_or(2),
            Self::Config(_) => 2,
        }
    }

    /// Writes the message to stderr; help and version to stdout.
    ///
    /// # Errors
    ///
    /// That of the stream written to.
    pub fn print(&self) -> io::Result<()> {
        match self {
            Self::Usage(e) => e.print(),
            Self::Config(problems) => writeln!(io::stderr(), "hongyan: {problems}"),
        }
    }
}

/// Reads a command line, its program name included, and loads the configuration that the command needs.
///
/// # Errors
///
/// [`ArgsError`]; also for `--help` and `--version`, which leave nothing to do but [`ArgsError::print`].
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Command, ArgsError> {
    let typed = Typed::try_parse_from(args)?;
    let env: Vec<_> = env.into_iter().collect();
    let load = |inputs: Inputs, purpose| load(&Inputs { env: env.clone(), ..inputs }, purpose).map(Box::new);
    let serving = |flags: ServeFlags| load(flags.into_inputs(), Purpose::Serve);
    let at = |place: PlaceFlags| load(place.into_inputs(), Purpose::Inspect);

    let command = match typed.verb.unwrap_or(Verb::Serve(typed.serve)) {
        Verb::Serve(flags) => Command::Serve(serving(flags)?),
        Verb::CheckConfig(flags) => Command::CheckConfig(serving(flags)?),
        Verb::PrintConfig { defaults: true, .. } => Command::PrintConfig(Box::default()),
        Verb::PrintConfig { flags, .. } => Command::PrintConfig(load(flags.into_inputs(), Purpose::Inspect)?),
        Verb::User { verb } => {
            let (place, action) = user(verb);
            Command::User(at(place)?, action)
        }
        Verb::Token { uid, ttl, device, place } => Command::Token(at(place)?, TokenRequest { uid, ttl, device }),
        Verb::Store { verb } => {
            let (place, action) = store(verb);
            Command::Store(at(place)?, action)
        }
        Verb::Trace(flags) => {
            let (place, request) = trace(flags);
            Command::Trace(at(place)?, request)
        }
        Verb::Completions { shell } => Command::Completions(shell),
    };
    Ok(command)
}

fn user(verb: UserVerb) -> (PlaceFlags, UserAction) {
    match verb {
        UserVerb::Add { uid, password_stdin, place } => (place, UserAction::Add { uid, password_stdin }),
        // Clap demands --password-stdin, so that another way can be added without a change of meaning.
        UserVerb::Passwd { uid, place, .. } => (place, UserAction::Passwd { uid }),
        UserVerb::Disable(one) => (one.place, UserAction::Disable { uid: one.uid }),
        UserVerb::Enable(one) => (one.place, UserAction::Enable { uid: one.uid }),
        UserVerb::Revoke(one) => (one.place, UserAction::Revoke { uid: one.uid }),
        UserVerb::List { json, place } => (place, UserAction::List { json }),
    }
}

fn store(verb: StoreVerb) -> (PlaceFlags, StoreAction) {
    match verb {
        StoreVerb::Verify(place) => (place, StoreAction::Verify),
        StoreVerb::Export(to) => (to.place, StoreAction::Export(to.file)),
        StoreVerb::Import(from) => (from.place, StoreAction::Import(from.file)),
        StoreVerb::Backup(to) => (to.place, StoreAction::Backup(to.file)),
        StoreVerb::Compact(place) => (place, StoreAction::Compact),
    }
}

fn trace(flags: TraceFlags) -> (PlaceFlags, TraceRequest) {
    let TraceFlags { uid, numbered, sent, json, place } = flags;
    // Clap demands one of the two pairs, and each of them whole.
    let message = match (numbered.conversation.zip(numbered.cseq), sent.device.zip(sent.send_no)) {
        (Some((conversation, cseq)), _) => Traced::Numbered { conversation, cseq },
        (None, Some((device, send_no))) => Traced::Sent { device, send_no },
        (None, None) => unreachable!("clap demands one of them"),
    };
    (place, TraceRequest { uid, message, json })
}

/// Writes the script that completes `hongyan` in a shell.
///
/// # Errors
///
/// That of `out`.
pub fn write_completions(shell: Shell, out: &mut impl Write) -> io::Result<()> {
    // Rendered first: clap_complete panics when its writer fails, and a closed pipe is no reason to.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Typed::command(), "hongyan", &mut script);
    out.write_all(&script)
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn parse_line(line: &str, env: &[(&str, &str)]) -> Result<Command, ArgsError> {
        let env: Vec<_> = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
        parse(std::iter::once("hongyan").chain(line.split_whitespace()).map(OsString::from), env)
    }

    fn usage_kind(line: &str) -> ErrorKind {
        match parse_line(line, &[]) {
            Err(ArgsError::Usage(e)) => e.kind(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Typed::command().debug_assert();
    }

    #[test]
    fn serve_is_the_command_without_a_command() {
        assert_eq!(parse_line("", &[]).unwrap(), Command::Serve(Box::default()));
        let typed = "--data d --listen 0.0.0.0:1 --http off --insecure-plaintext --log-format json --log-level debug";
        let Command::Serve(config) = parse_line(typed, &[]).unwrap() else { panic!("not serve") };
        assert_eq!(config.data, PathBuf::from("d"));
        assert_eq!(config.listen, ["0.0.0.0:1".parse().unwrap()]);
        assert_eq!(config.http, None);
        assert!(config.tls.allow_plaintext_off_loopback);
        assert_eq!((config.log.level.as_str(), config.log.format), ("debug", crate::config::LogFormat::Json));
        assert_eq!(parse_line(&format!("serve {typed}"), &[]).unwrap(), Command::Serve(config.clone()));
        assert_eq!(parse_line(&format!("check-config {typed}"), &[]).unwrap(), Command::CheckConfig(config));
    }

    #[test]
    fn each_verb_becomes_its_action_on_the_place_named() {
        let uid = || Uid::new("alice").unwrap();
        let cases = [
            ("user add alice", UserAction::Add { uid: uid(), password_stdin: false }),
            ("user add alice --password-stdin", UserAction::Add { uid: uid(), password_stdin: true }),
            ("user passwd alice --password-stdin", UserAction::Passwd { uid: uid() }),
            ("user disable alice", UserAction::Disable { uid: uid() }),
            ("user enable alice", UserAction::Enable { uid: uid() }),
            ("user revoke alice", UserAction::Revoke { uid: uid() }),
            ("user list", UserAction::List { json: false }),
            ("user list --json", UserAction::List { json: true }),
        ];
        let there = Box::new(Config { data: "there".into(), ..Config::default() });
        for (line, action) in cases {
            let command = parse_line(&format!("{line} --data there"), &[]).unwrap();
            assert_eq!(command, Command::User(there.clone(), action), "{line}");
        }
        let cases = [
            ("verify", StoreAction::Verify),
            ("export f", StoreAction::Export("f".into())),
            ("import f", StoreAction::Import("f".into())),
            ("backup f", StoreAction::Backup("f".into())),
            ("compact", StoreAction::Compact),
        ];
        for (line, action) in cases {
            let command = parse_line(&format!("store {line} --data there"), &[]).unwrap();
            assert_eq!(command, Command::Store(there.clone(), action), "{line}");
        }
    }

    #[test]
    fn a_trace_names_its_message_in_one_of_two_ways() {
        let message = |line| match parse_line(line, &[]).unwrap() {
            Command::Trace(_, TraceRequest { message, json, .. }) => (message, json),
            other => panic!("{other:?}"),
        };
        let group = Traced::Numbered { conversation: ConversationId::Group(7), cseq: 12 };
        assert_eq!(message("trace alice #7 12 --json"), (group, true));
        let sent = Traced::Sent { device: DeviceName::new("phone").unwrap(), send_no: 3 };
        assert_eq!(message("trace alice --send-no 3 --device phone"), (sent, false));
        for bad in ["trace alice", "trace alice bob", "trace alice --send-no 3", "trace alice --device phone"] {
            assert_eq!(usage_kind(bad), ErrorKind::MissingRequiredArgument, "{bad}");
        }
        assert_eq!(usage_kind("trace alice bob 3 --send-no 3 --device phone"), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn a_token_lives_an_hour_unless_said_otherwise() {
        let request = |line| match parse_line(line, &[]).unwrap() {
            Command::Token(_, request) => request,
            other => panic!("{other:?}"),
        };
        let hour = Duration::from_secs(3600);
        let alice = TokenRequest { uid: Uid::new("alice").unwrap(), ttl: hour, device: None };
        assert_eq!(request("token alice"), alice);
        let phone = TokenRequest { ttl: 48 * hour, device: Some(DeviceName::new("phone").unwrap()), ..alice };
        assert_eq!(request("token alice --ttl 2d --device phone"), phone);
        for bad in [
            "token alice --ttl 3600",
            "token alice --ttl 0s",
            "token alice --ttl 100ms",
            "token a/b",
            "token alice --device a/b",
        ] {
            assert_eq!(usage_kind(bad), ErrorKind::ValueValidation, "{bad}");
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        assert_eq!(usage_kind("user passwd alice"), ErrorKind::MissingRequiredArgument);
        assert_eq!(usage_kind("store export"), ErrorKind::MissingRequiredArgument);
        assert_eq!(usage_kind("serv"), ErrorKind::InvalidSubcommand);
        assert_eq!(usage_kind("serve --lisen x"), ErrorKind::UnknownArgument);
        assert_eq!(usage_kind("--data d user list"), ErrorKind::ArgumentConflict);
        assert_eq!(usage_kind("print-config --defaults --listen x"), ErrorKind::ArgumentConflict);
        let help = parse_line("--help", &[]).unwrap_err();
        assert_eq!(help.exit_code(), 0);
        assert_eq!(parse_line("serv", &[]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_flag_with_a_bad_value_is_a_problem_of_the_configuration() {
        let error = parse_line("check-config --listen nowhere --http 7680", &[("HONGYAN_DATA", "")]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let ArgsError::Config(problems) = error else { panic!("{error:?}") };
        let sources: Vec<_> = problems.0.iter().map(|p| (p.subject.as_str(), p.source.as_deref().unwrap())).collect();
        assert_eq!(sources, [("listen", "flag --listen"), ("http", "flag --http"), ("data", "variable HONGYAN_DATA")]);
    }

    #[test]
    fn only_a_server_must_satisfy_the_rules_on_listening() {
        let env = [("HONGYAN_LISTEN", "0.0.0.0:7600")];
        assert!(matches!(parse_line("serve", &env), Err(ArgsError::Config(_))));
        assert!(matches!(parse_line("check-config", &env), Err(ArgsError::Config(_))));
        assert!(parse_line("serve --insecure-plaintext", &env).is_ok());
        assert!(parse_line("user list", &env).is_ok());
        assert!(parse_line("print-config", &env).is_ok());
    }

    #[test]
    fn print_config_prints_what_is_in_force_or_the_defaults() {
        let env = [("HONGYAN_LISTEN", "127.0.0.1:1")];
        let Command::PrintConfig(config) = parse_line("print-config --http off", &env).unwrap() else { panic!() };
        assert_eq!((config.listen[0].port(), config.http), (1, None));
        assert_eq!(parse_line("print-config --defaults", &env).unwrap(), Command::PrintConfig(Box::default()));
    }

    #[test]
    fn completions_know_the_verbs() {
        assert_eq!(parse_line("completions zsh", &[]).unwrap(), Command::Completions(Shell::Zsh));
        let mut script = Vec::new();
        write_completions(Shell::Bash, &mut script).unwrap();
        assert!(String::from_utf8(script).unwrap().contains("check-config"));
    }
}
