//! `hongyan-cli`: chat, script and debug Hongyan from a terminal.
//!
//! Way for a reader: [`args`] is what was typed; [`setup`] makes of it, of the environment and of the [`profile`] one
//! decided login; [`session`] takes a device of this machine ([`slot`]) and connects; each file under [`command`], and
//! [`chat`], does one command with it. [`output`], [`text`] and [`record`] are all that reaches the terminal; [`frames`] makes the
//! protocol readable; [`exit`] holds the exit codes.

mod args;
mod chat;
mod command;
mod exit;
mod frames;
mod output;
mod profile;
mod record;
mod session;
mod setup;
mod slot;
mod terminal;
mod text;

use std::{io::Write, process};

use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use tracing_subscriber::filter::LevelFilter;

use args::{Args, Command, Global};
use command::listen::Until;
use exit::{Exit, Failure};
use output::Output;
use profile::Profiles;
use session::{Login, Trace};
use setup::{Directories, Setup};

fn main() {
    let args = Args::parse();
    let output = Output::new(&args.global);
    log(&args.global);
    let exit = match run(&args, output) {
        Ok(exit) => exit,
        Err(Failure { exit, message }) => {
            if !message.is_empty() {
                output.error(&message);
            }
            exit
        }
    };
    // Not by returning: a thread may be blocked in reading stdin.
    process::exit(exit as i32);
}

/// `-v` shows what the client logs, on stderr.
fn log(global: &Global) {
    let level = match global.verbose {
        0 => return,
        1 => LevelFilter::INFO,
        _ => LevelFilter::TRACE,
    };
    let color = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let ansi = color && std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(ansi).init();
}

fn run(args: &Args, output: Output) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::local("cannot start", error))?;
    let result = runtime.block_on(within_time(args, output));
    runtime.shutdown_background();
    result
}

/// `--timeout` for every command but `listen`, which ends by itself and says what is missing.
async fn within_time(args: &Args, output: Output) -> Result<Exit, Failure> {
    let work = dispatch(args, output);
    match (args.global.timeout, &args.command) {
        (None, _) | (Some(_), Command::Listen { .. }) => work.await,
        (Some(timeout), _) => match tokio::time::timeout(timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(Exit::TimedOut, format!("timed out after {timeout:?}"))),
        },
    }
}

async fn dispatch(args: &Args, output: Output) -> Result<Exit, Failure> {
    let global = &args.global;
    let directories = || Directories::new(global.state.clone(), |name| std::env::var_os(name));
    let login = || {
        let Directories { config, state } = directories()?;
        let profile = setup::chosen_profile(global, &Profiles::new(&config))?;
        let setup = Setup::new(global, profile, setup::stdin_password(global)?, &state)?;
        Ok::<_, Failure>(Login { setup, output, trace: Trace::new(global) })
    };
    match &args.command {
        Command::Send { to, carried, text } => command::send::run(&login()?, to, carried, text).await,
        Command::Listen { count, since } => {
            let until = Until { count: *count, timeout: global.timeout };
            command::listen::run(&login()?, until, *since).await
        }
        Command::Chat { with } => chat::run(&login()?, with).await,
        Command::History { with, limit, before, around } => {
            command::history::run(&login()?, with, *limit, *before, *around).await
        }
        Command::Conversations { unread, archived } => command::conversations::run(&login()?, *unread, *archived).await,
        Command::Group(group) => command::group::run(&login()?, group).await,
        Command::Talk(talk) => command::talk::run(&login()?, talk).await,
        Command::People(people) => command::people::run(&login()?, people).await,
        Command::Status { what, cseq } => command::status::run(&login()?, what.as_deref(), *cseq).await,
        Command::Ping { count, interval } => command::ping::run(&login()?, *count, *interval).await,
        Command::Compare(comparison) => command::compare::run(&login()?, comparison).await,
        Command::Login => command::login::log_in(global, &directories()?, output).await,
        Command::Logout => command::login::log_out(global, &directories()?, output),
        Command::Frames { file } => command::frames::run(output, file.as_deref(), global.trace_bodies),
        Command::Completions { shell } => completions(*shell),
    }
}

fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "hongyan-cli", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}
