//! `hongyan-bench`: measures a running Hongyan server, so that an operator can size a machine and see for themselves.
//!
//! Way for a reader: [`args`] (what can be typed), [`scenario`] (what is measured), [`engine`] and [`link`] (sockets),
//! [`device`] (the protocol, without sockets), [`ledger`] (what arrived, checked by content), [`meter`], [`traffic`] and
//! [`process`] (what it has cost), [`report`] (the table and the JSON).

mod args;
mod device;
mod engine;
mod frames;
mod ledger;
mod link;
mod meter;
mod process;
mod progress;
mod report;
mod run;
mod scenario;
mod stamp;
mod token;
mod traffic;

use std::{
    io,
    io::Write,
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, ensure};
use args::{Cli, Common, Scenario};
use clap::Parser;
use engine::Engine;
use process::Server;
use report::Report;
use run::{Run, TlsTarget};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use scenario::{Bench, fan_out, group, idle, offline, paced, pairs, resume_storm};
use stamp::Stationery;
use token::{DRAWN_SEEDS, Mint};

/// The run did not get to its end.
const FAILED: u8 = 1;
/// The run came to its end, and messages are missing, doubled, out of order or refused.
const NOT_CLEAN: u8 = 3;
/// Descriptors beside those of the connections.
const SPARE_DESCRIPTORS: u64 = 32;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(&cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOT_CLEAN),
        Err(error) => {
            let _ = writeln!(io::stderr(), "hongyan-bench: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

/// Whether nothing went missing or wrong.
fn execute(cli: &Cli) -> anyhow::Result<bool> {
    let users = users_of(&cli.scenario);
    make_room_for(users)?;
    let seed = cli.common.seed.unwrap_or_else(|| rand::random_range(0..DRAWN_SEEDS));
    let run = prepare(&cli.common, users, seed)?;
    let server = match cli.common.server_pid {
        Some(pid) => Some(Server { pid }),
        None => Server::listening_on(run.target),
    };
    if let Some(server) = server {
        ensure!(server.is_running(), "there is no process {}: check --server-pid", server.pid);
    }
    let command = args::command_line(&std::env::args().collect::<Vec<_>>(), seed);
    let report = Report::new(name_of(&cli.scenario), command);
    let engine = Engine::new(&run).context("epoll")?;
    let mut bench = Bench::new(engine, server, cli.common.logins_at_once, cli.common.patience, seed, report);
    match &cli.scenario {
        Scenario::Pairs(args) => pairs::run(&mut bench, args)?,
        Scenario::Paced(args) => paced::run(&mut bench, args)?,
        Scenario::Idle(args) => idle::run(&mut bench, args)?,
        Scenario::FanOut(args) => fan_out::run(&mut bench, args)?,
        Scenario::Group(args) => group::run(&mut bench, args)?,
        Scenario::Offline(args) => offline::run(&mut bench, args)?,
        Scenario::ResumeStorm(args) => resume_storm::run(&mut bench, args)?,
    }
    bench.report.print(cli.common.json, &mut io::stdout())?;
    Ok(bench.report.is_clean())
}

fn name_of(scenario: &Scenario) -> &'static str {
    match scenario {
        Scenario::Pairs(_) => "pairs",
        Scenario::Paced(_) => "paced",
        Scenario::Idle(_) => "idle",
        Scenario::FanOut(_) => "fan-out",
        Scenario::Group(_) => "group",
        Scenario::Offline(_) => "offline",
        Scenario::ResumeStorm(_) => "resume-storm",
    }
}

/// How many users a scenario needs; each has one connection.
fn users_of(scenario: &Scenario) -> u32 {
    match scenario {
        Scenario::Pairs(args) => 2 * args.pairs,
        Scenario::Paced(args) => 2 * args.pairs,
        Scenario::Idle(args) => args.connections,
        Scenario::FanOut(args) => 1 + args.receivers,
        Scenario::Group(args) => args.members,
        Scenario::Offline(_) => 2,
        Scenario::ResumeStorm(args) => 2 * args.pairs + args.connections,
    }
}

fn prepare(common: &Common, users: u32, seed: u64) -> anyhow::Result<Run> {
    let target = resolve(&common.server)?;
    let tls = match (&common.ca, common.tls) {
        (Some(ca), true) => Some(tls_target(&common.server, ca)?),
        _ => None,
    };
    Ok(Run {
        target,
        tls,
        uids: token::user_ids(seed, users),
        stationery: Stationery::new(common.content_bytes as usize, seed),
        mint: Mint::from_file(&common.secret_file, &common.kid, &common.iss, &common.aud)?,
        device_epoch: rand::random_range(1..=u32::MAX),
        heartbeat: common.heartbeat.map(|interval| interval.as_nanos() as u64),
        start: Instant::now(),
    })
}

fn resolve(server: &str) -> anyhow::Result<SocketAddr> {
    let addresses = server.to_socket_addrs().with_context(|| format!("--server {server}: needs HOST:PORT"))?;
    let mut addresses: Vec<SocketAddr> = addresses.collect();
    addresses.sort_by_key(|address| address.is_ipv6());
    addresses.first().copied().with_context(|| format!("--server {server}: the name has no address"))
}

fn tls_target(server: &str, ca: &Path) -> anyhow::Result<TlsTarget> {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).with_context(|| format!("--server {server}: no name for TLS"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).with_context(|| format!("cannot read {}", ca.display()))? {
        let certificate = certificate.with_context(|| format!("{} is not PEM", ca.display()))?;
        roots.add(certificate).with_context(|| format!("{} holds a certificate that is none", ca.display()))?;
    }
    ensure!(!roots.is_empty(), "{} holds no certificate", ca.display());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(TlsTarget { config: Arc::new(builder.with_root_certificates(roots).with_no_client_auth()), name })
}

/// Raises the limit of open files as far as allowed.
fn make_room_for(connections: u32) -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    let needed = u64::from(connections) + SPARE_DESCRIPTORS;
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    ensure!(
        needed <= allowed,
        "{connections} connections need {needed} open files and {allowed} are allowed: raise `ulimit -Hn`"
    );
    Ok(())
}
