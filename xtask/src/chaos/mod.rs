//! `cargo xtask chaos`: runs of the built command on a tiny model that are killed, damaged, starved
//! and started twice. What goes on must end at the bytes of an undisturbed run, or be refused with
//! exit 2.

mod damage;
mod kills;
mod place;
mod soak;
mod starved;

use std::io;
use std::path::PathBuf;

use crate::shell::{cargo, root, status};
use place::Place;

/// What to try.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Kills of each method's runs
    #[arg(long, default_value_t = 20)]
    kills: u64,
    /// Decides when they are killed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Minutes of work without end, in place of all else
    #[arg(long, value_name = "MINUTES")]
    soak: Option<u64>,
    /// A command that is built already
    #[arg(long)]
    peft: Option<PathBuf>,
}

/// What was tried, and what went wrong.
#[derive(Default)]
struct Report {
    figures: Vec<String>,
    faults: Vec<String>,
}

impl Report {
    fn figure(&mut self, text: String) {
        println!("{text}");
        self.figures.push(text);
    }

    fn fault(&mut self, text: String) {
        println!("FAULT: {text}");
        self.faults.push(text);
    }
}

/// Run it; whether nothing went wrong.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    let peft = match &args.peft {
        Some(peft) => std::path::absolute(peft)?,
        None if !status(cargo(["build", "--package=peft-cli"]))? => return Ok(false),
        None => root().join("target/debug/peft"),
    };
    let place = Place::new(peft)?;
    let mut report = Report::default();
    match args.soak {
        Some(minutes) => soak::run(&place, minutes, args.seed, &mut report)?,
        None => {
            kills::run(&place, args.kills, args.seed, &mut report)?;
            damage::run(&place, &mut report)?;
            starved::run(&place, &mut report)?;
        }
    }
    println!("\nseed {}", args.seed);
    report
        .figures
        .iter()
        .for_each(|figure| println!("{figure}"));
    report
        .faults
        .iter()
        .for_each(|fault| println!("FAULT: {fault}"));
    println!("{} faults", report.faults.len());
    Ok(report.faults.is_empty())
}
