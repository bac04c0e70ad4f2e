//! [`Worker`]: a process that lends its devices.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::common::command;

/// A worker, which ends with the test.
pub(super) struct Worker {
    pub(super) child: Child,
    /// `127.0.0.1:port`.
    address: String,
    pub(super) said: String,
}

impl Worker {
    pub(super) fn start(extra: &str) -> Self {
        let line = format!("worker --listen 127.0.0.1:0 {extra}");
        let mut child = command(&line.split_whitespace().collect::<Vec<_>>())
            .env_remove("PEFT_WORKER_TOKEN")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut said = String::new();
        lines.read_line(&mut said).expect("it says a line");
        // What it says later is taken, so that it can go on.
        thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let address = said
            .split("ws://")
            .nth(1)
            .and_then(|of| of.split(',').next());
        let address = address.unwrap_or_else(|| panic!("{said}")).to_owned();
        Self {
            child,
            address,
            said,
        }
    }

    pub(super) fn device(&self) -> String {
        format!("remote:ws://{}", self.address)
    }

    pub(super) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a process ends, if it does in time.
pub(super) fn ends(child: &mut Child, within: Duration) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it can be asked") {
            return status;
        }
        if started.elapsed() > within {
            let _ = child.kill();
            panic!("it goes on after {within:?}");
        }
        thread::sleep(Duration::from_millis(20));
    }
}
