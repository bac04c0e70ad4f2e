//! `cargo xtask check`: what is quick enough to run before every commit.

use std::io;
use std::process::Command;

use crate::shell::{cargo, root, status};
use crate::{deny, test, tidy};

/// What to check beside that.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Type-check the command with its feature `cuda` too: needs no toolkit, and the first time
    /// some minutes
    #[arg(long)]
    cuda: bool,
}

/// Run it; whether all passed. A check that fails does not stop the later ones.
pub(crate) fn run(args: &Args) -> io::Result<bool> {
    let format = status(cargo(["fmt", "--all", "--check"]))?;
    let faults = tidy::faults(&root())?;
    println!("\ntidy: {} faults", faults.len());
    for fault in &faults {
        println!("  {fault}");
    }
    let allowed = deny::run()?;
    let clippy = status(test::clippy())?;
    // Not built again from what is packed: that is a build of everything for each crate.
    let packed = [
        "package",
        "--workspace",
        "--no-verify",
        "--allow-dirty",
        "--quiet",
    ];
    let packed = status(cargo(packed))?;
    let cuda = !args.cuda || status(cuda())?;
    Ok(format && faults.is_empty() && allowed && clippy && packed && cuda)
}

/// `cargo check` of the command for CUDA, in a directory of its own: other features are another
/// Burn.
fn cuda() -> Command {
    let mut command = cargo([
        "check",
        "--package=peft-cli",
        "--no-default-features",
        "--features=cuda",
        "--target-dir=target/cuda",
    ]);
    // Where documentation is built, its compiler's LLVM is not fetched.
    command
        .env("DOCS_RS", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    command
}
