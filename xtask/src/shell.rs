//! Running programs in the workspace's root.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// `cargo` with these arguments, in the root, its output without colours.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(args)
        .current_dir(root())
        .env("CARGO_TERM_COLOR", "never");
    command
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Run to the end, output straight through; whether it succeeded.
pub(crate) fn status(mut command: Command) -> io::Result<bool> {
    println!("\n$ {}", shown(&command));
    Ok(command.status()?.success())
}

/// Run to the end, what it prints on standard output kept; whether it succeeded.
pub(crate) fn output(mut command: Command) -> io::Result<(bool, String)> {
    println!("\n$ {}", shown(&command));
    let output = command.stderr(Stdio::inherit()).output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.success(), printed))
}

/// Run to the end, each line of both outputs echoed and handed to `line`; whether it succeeded.
///
/// Both outputs go through one pipe, so that their lines keep their order.
pub(crate) fn lines(mut command: Command, mut line: impl FnMut(&str)) -> io::Result<bool> {
    println!("\n$ {}", shown(&command));
    let (reader, writer) = io::pipe()?;
    let mut child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
    // The command holds the writing ends: the pipe closes only when they are dropped.
    drop(command);
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    let mut out = io::stdout();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        out.write_all(&bytes)?;
        line(String::from_utf8_lossy(&bytes).trim_end());
        bytes.clear();
    }
    Ok(child.wait()?.success())
}
