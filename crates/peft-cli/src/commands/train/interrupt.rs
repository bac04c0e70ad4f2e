//! [`Interrupts`]: signals that ask a run to end.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{process, thread};

#[cfg(unix)]
use signal_hook::consts::SIGHUP;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::CliError;

/// What is listened for, and what it is called.
const SIGNALS: &[(i32, &str)] = &[
    (SIGINT, "SIGINT"),
    (SIGTERM, "SIGTERM"),
    #[cfg(unix)]
    (SIGHUP, "SIGHUP"),
];

/// How often a signal is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// A signal that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signal {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
}

/// Signals of the process, which are registered once.
#[derive(Default)]
struct Listening {
    asked: Arc<AtomicUsize>,
    at_once: Arc<AtomicBool>,
    /// How many listen.
    listeners: usize,
    registered: bool,
}

static LISTENING: LazyLock<Mutex<Listening>> = LazyLock::new(Mutex::default);

fn listening() -> MutexGuard<'static, Listening> {
    LISTENING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first signal asks, and the run, or all that listen, ends where it can go on from; the next
/// one ends the program at once.
pub(super) struct Interrupts {
    asked: Arc<AtomicUsize>,
}

impl Interrupts {
    /// Listen from now on.
    pub(super) fn listen() -> io::Result<Self> {
        let mut all = listening();
        if all.listeners == 0 {
            all.asked.store(0, Ordering::SeqCst);
            all.at_once.store(false, Ordering::SeqCst);
        }
        if !all.registered {
            for (signal, name) in SIGNALS {
                if *name == "SIGHUP" && is_ignored(*signal) {
                    continue;
                }
                let at_once = || Arc::clone(&all.at_once);
                // In this order: the first one finds that there was none before it.
                flag::register_conditional_shutdown(*signal, 128 + signal, at_once())?;
                flag::register_usize(*signal, Arc::clone(&all.asked), *signal as usize)?;
                flag::register(*signal, at_once())?;
            }
            all.registered = true;
        }
        all.listeners += 1;
        Ok(Self {
            asked: Arc::clone(&all.asked),
        })
    }

    /// The signal that has asked the run to end, if one has.
    pub(super) fn asked(&self) -> Option<Signal> {
        let asked = self.asked.load(Ordering::SeqCst);
        let of = SIGNALS.iter().find(|(number, _)| *number as usize == asked);
        of.map(|(number, name)| Signal {
            number: *number as u8,
            name,
        })
    }
}

/// When nobody looks at `asked` any more, a signal ends the program.
impl Drop for Interrupts {
    fn drop(&mut self) {
        let mut all = listening();
        all.listeners -= 1;
        if all.listeners == 0 {
            all.at_once.store(true, Ordering::SeqCst);
        }
    }
}

/// From now on, a signal that ends the program takes away what it has begun to write: for commands
/// that have nothing to go on from.
pub(crate) fn end_without_traces() -> Result<(), CliError> {
    let asked: Arc<AtomicUsize> = Arc::default();
    for (signal, name) in SIGNALS {
        if *name == "SIGHUP" && is_ignored(*signal) {
            continue;
        }
        let listening = flag::register_usize(*signal, Arc::clone(&asked), *signal as usize);
        listening.map_err(|source| CliError::Io {
            action: "listen to signals in",
            path: ".".into(),
            source,
        })?;
    }
    thread::spawn(move || {
        loop {
            thread::sleep(LOOK);
            let signal = asked.load(Ordering::SeqCst);
            if signal != 0 {
                peft_files::abandon();
                process::exit(128 + signal as i32);
            }
        }
    });
    Ok(())
}

/// Whether this process was started to ignore a signal, as `nohup` does with SIGHUP; known on Linux
/// alone.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
