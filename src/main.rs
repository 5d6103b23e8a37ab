//! The program `hongyan`: what was typed, done.

use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use hongyan::{
    cli::{
        command::{self, Command},
        operate,
    },
    config::{self, Config, LogFormat},
    host::{
        panics,
        server::{Server, Signals},
    },
};
use tracing_subscriber::EnvFilter;

/// What a command exits with if it was understood and failed.
const FAILED: u8 = 1;
/// How long what has been begun may go on after a failure.
const LAST_WORK: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let command = match command::parse(std::env::args_os(), std::env::vars_os()) {
        Ok(command) => command,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(error.exit_code());
        }
    };
    match execute(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "hongyan: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(config) => {
            start_logging(&config)?;
            let runtime = runtime()?;
            let served = runtime.block_on(serve(*config));
            if served.is_err() {
                // Something may hang that will never end.
                runtime.shutdown_timeout(LAST_WORK);
            }
            served
        }
        Command::CheckConfig(_) => Ok(writeln!(io::stdout(), "ok")?),
        Command::PrintConfig(config) => Ok(write!(io::stdout(), "{}", config::to_toml(&config))?),
        Command::Completions(shell) => Ok(command::write_completions(shell, &mut io::stdout())?),
        Command::User(config, action) => Ok(runtime()?.block_on(operate::user(&config, action))?),
        Command::Token(config, request) => Ok(runtime()?.block_on(operate::token(&config, request))?),
        Command::Trace(config, request) => Ok(runtime()?.block_on(operate::trace(&config, request))?),
        Command::Store(config, action) => Ok(runtime()?.block_on(operate::store(&config, action))?),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let signals = Signals::install().context("signals cannot be received")?;
    let (data, plain_text) = (config.data.display().to_string(), config.log.format == LogFormat::Human);
    let server = Server::bind(config).await?;
    panics::note(server.panics());
    let native = server.native_addresses()?;
    let mut out = io::stdout();
    writeln!(out, "ready native={} http={}", written(&native), written(&server.http_addresses()?))?;
    out.flush()?;
    if let Some(first) = native.first().filter(|_| plain_text) {
        let _ = writeln!(io::stderr(), "{}", how_to_chat(&first.to_string(), &data));
    }
    Ok(server.run(signals.shutdown()).await?)
}

/// Addresses as the ready line has them.
fn written(addresses: &[SocketAddr]) -> String {
    match addresses {
        [] => "off".to_owned(),
        _ => addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(","),
    }
}

fn how_to_chat(native: &str, data: &str) -> String {
    let data = if data == "./hongyan-data" { String::new() } else { format!(" --data {data}") };
    let server = if native == "127.0.0.1:7600" { String::new() } else { format!(" --server {native}") };
    format!(
        "\nTo chat, in two other terminals (`hongyan` and `hongyan-cli` are in target/release after `cargo build --release --workspace`):\n  \
           hongyan-cli{server} --uid alice --token \"$(hongyan token alice{data})\" chat bob\n  \
           hongyan-cli{server} --uid bob --token \"$(hongyan token bob{data})\" chat alice\n"
    )
}

fn start_logging(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log.level).context("log.level")?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match config.log.format {
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
        LogFormat::Human => {
            let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
            subscriber.with_ansi(colours).init();
        }
    }
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}
