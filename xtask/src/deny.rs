//! Licences, sources and advisories of what the workspace is built of: `cargo deny` by `deny.toml`.

use std::io;
use std::process::{Command, Stdio};

use crate::shell::{cargo, status};

/// Run what can be run, and name what cannot; whether nothing failed.
pub(crate) fn run() -> io::Result<bool> {
    if !succeeds(cargo(["deny", "--version"]))? {
        println!(
            "\nleft out: licences, sources, advisories: `cargo install cargo-deny` is missing"
        );
        return Ok(true);
    }
    let sound = status(cargo(["deny", "check", "licenses", "bans", "sources"]))?;
    // The database is a repository elsewhere, which not every machine reaches.
    if !succeeds(cargo(["deny", "fetch", "db"]))? {
        println!("\nleft out: advisories: `cargo deny fetch db` does not reach their database");
        return Ok(sound);
    }
    let fetched = ["deny", "check", "--disable-fetch", "advisories"];
    Ok(status(cargo(fetched))? && sound)
}

/// Whether a command that prints nothing of interest succeeds.
fn succeeds(mut command: Command) -> io::Result<bool> {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.status()?.success())
}
