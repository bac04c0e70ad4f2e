//! [`check`]: each kind in a process of its own, started again where it dies.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::worker::{self, WORKER};

/// KiB of address space by which one directory of some KiB may raise the process's peak.
pub const MAX_GROWTH_KIB: u64 = 256 << 10;
/// Seconds that reading one directory may take, a debug build on a busy machine included.
pub const MAX_SECONDS: u64 = 20;
/// KiB of address space that the process may have: what asks for more aborts it.
const MAX_ADDRESS_KIB: u64 = 8 << 20;
/// Seeds of each kind where nothing else is said.
const COUNT: u64 = 60;
/// Faults of one kind that are looked for.
const MAX_FAULTS: usize = 20;

/// Reads a directory that stands in the place of this one among the sound ones; whether it was
/// taken.
pub type Reader<'a> = Box<dyn Fn(&Path, usize) -> bool + 'a>;

/// Directories and what reads them.
pub struct Kind<'a> {
    /// What they are.
    pub name: &'static str,
    /// Sound directories: the bytes of each file by its name.
    pub sound: Vec<BTreeMap<String, Vec<u8>>>,
    /// Whether a directory was read, that of this place among the sound ones with one file changed.
    pub read: Reader<'a>,
}

impl<'a> Kind<'a> {
    /// Of files that are read as they are.
    pub fn new(
        name: &'static str,
        sound: Vec<BTreeMap<String, Vec<u8>>>,
        read: impl Fn(&Path, usize) -> bool + 'a,
    ) -> Self {
        Self {
            name,
            sound,
            read: Box::new(read),
        }
    }
}

/// What reading some seeds came to.
#[derive(Default)]
struct Outcome {
    read: u64,
    growth_kib: u64,
    millis: u64,
    faults: Vec<String>,
}

/// Change and read directories of each kind.
///
/// `test` is the full name of the test that calls this: it is started again, by that name, as the
/// process that reads.
///
/// # Panics
///
/// Where a reader panics, aborts, takes more than [`MAX_SECONDS`] or raises the peak of memory by
/// more than [`MAX_GROWTH_KIB`]: all faults are named with their seeds. And where a sound directory
/// is refused.
pub fn check(test: &str, kinds: &[Kind<'_>]) {
    if let Ok(work) = env::var(WORKER) {
        return worker::run(&work, kinds);
    }
    let number = |name: &str, default| env::var(name).map_or(default, |n| n.parse().expect(name));
    let (count, first) = (number("MUTATIONS", COUNT), number("MUTATION_SEED", 0));
    let mut faults = Vec::new();
    let only = env::var("MUTATION_KIND").ok();
    let wanted = |kind: &Kind<'_>| only.as_ref().is_none_or(|name| name == kind.name);
    for (i, kind) in kinds.iter().enumerate().filter(|(_, kind)| wanted(kind)) {
        let outcome = tried(test, i, first, first + count);
        let Outcome {
            read,
            growth_kib,
            millis,
            ..
        } = outcome;
        say(&format!(
            "{}: {count} mutations, seeds {first} to {}: {read} read, {} refused; at most {} MiB and {millis} ms each",
            kind.name,
            (first + count).saturating_sub(1),
            count - read - outcome.faults.len() as u64,
            growth_kib.div_ceil(1024),
        ));
        let named = |fault: &String| format!("{}, seed {fault}", kind.name);
        faults.extend(outcome.faults.iter().map(named));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A line that the test's harness does not hold back.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "\n{line}");
}

fn tried(test: &str, kind: usize, mut from: u64, to: u64) -> Outcome {
    let mut outcome = Outcome::default();
    while from < to && outcome.faults.len() < MAX_FAULTS {
        let mut child = start(test, &format!("{kind} {from} {to}"));
        let lines = child.stdout.take().map(BufReader::new);
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let lines = lines.into_iter().flat_map(BufRead::lines);
            lines
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        let mut at = None;
        let silence = loop {
            match receiver.recv_timeout(Duration::from_secs(MAX_SECONDS)) {
                Ok(line) => at = outcome.take(&line).or(at),
                Err(error) => break error,
            }
        };
        let status = end(&mut child, silence);
        match (at, silence) {
            (_, RecvTimeoutError::Disconnected) if status.success() => break,
            (None, _) => panic!("kind {kind}: the reader does not start: {status}"),
            (Some(seed), RecvTimeoutError::Timeout) => {
                let fault = format!("{seed}: more than {MAX_SECONDS} s");
                outcome.faults.push(fault);
                from = seed + 1;
            }
            (Some(seed), RecvTimeoutError::Disconnected) => {
                outcome.faults.push(format!("{seed}: {status}"));
                from = seed + 1;
            }
        }
    }
    outcome
}

impl Outcome {
    /// A line of the worker; the seed that it begins with, where it begins with one.
    fn take(&mut self, line: &str) -> Option<u64> {
        let (what, rest) = line.split_once(' ')?;
        match what {
            worker::AT => return rest.parse().ok(),
            worker::FAULT => self.faults.push(rest.into()),
            worker::READ => {
                let mut numbers = rest.split(' ').map_while(|number| number.parse().ok());
                self.read += numbers.next().unwrap_or(0);
                self.growth_kib = self.growth_kib.max(numbers.next().unwrap_or(0));
                self.millis = self.millis.max(numbers.next().unwrap_or(0));
            }
            _ => {}
        }
        None
    }
}

fn start(test: &str, work: &str) -> Child {
    let this = env::current_exe().expect("this test");
    let mut command = match cfg!(unix) {
        true => {
            let mut shell = Command::new("sh");
            let limited = format!("ulimit -v {MAX_ADDRESS_KIB} && exec \"$0\" \"$@\"");
            shell.args(["-c", &limited]).arg(this);
            shell
        }
        false => Command::new(this),
    };
    command
        .args(["--exact", test, "--nocapture"])
        .env(WORKER, work)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts")
}

fn end(child: &mut Child, silence: RecvTimeoutError) -> ExitStatus {
    if silence == RecvTimeoutError::Timeout {
        child.kill().expect("it is killed");
    }
    child.wait().expect("it ends")
}
