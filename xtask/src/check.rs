//! `cargo xtask check`: what is quick enough to run before every commit.

use std::io;

use crate::shell::{cargo, root, status};
use crate::{deny, test, tidy};

/// Run it; whether all passed. A check that fails does not stop the later ones.
pub(crate) fn run() -> io::Result<bool> {
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
    Ok(format && faults.is_empty() && allowed && clippy && packed)
}
