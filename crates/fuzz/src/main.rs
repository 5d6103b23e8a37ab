//! `hongyan-fuzz TARGET COUNT FOLDER [SEED]`: writes generated inputs into files, for a fuzzer to begin with.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::{env, fs, path::Path, process::ExitCode};

use hongyan_fuzz::{TARGETS, net::Rng};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match write(&args) {
        Ok(count) => {
            println!("{count} inputs written");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(args: &[String]) -> Result<u64, String> {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let usage = || format!("usage: hongyan-fuzz TARGET COUNT FOLDER [SEED]; targets: {}", names.join(" "));
    let [name, count, folder, seed @ ..] = args else { return Err(usage()) };
    let target = TARGETS.iter().find(|target| target.name == name).ok_or_else(usage)?;
    let number = |text: &String| text.parse::<u64>().map_err(|error| format!("{text}: {error}; {}", usage()));
    let count = number(count)?;
    let seed = seed.first().map(number).transpose()?.unwrap_or(1);
    fs::create_dir_all(folder).map_err(|error| format!("{folder}: {error}"))?;
    for run in 0..count {
        let input = (target.generate)(&mut Rng(seed.wrapping_add(run)));
        let path = Path::new(folder).join(format!("generated-{run:04}"));
        fs::write(&path, input).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(count)
}
