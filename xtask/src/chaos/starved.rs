//! Two runs in one directory, little memory, a full disk, one that is only read.

use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Report;
use super::place::{Place, RUN};

/// Limits of the address space, in MiB.
const MEMORY: [u64; 8] = [64, 128, 192, 256, 384, 512, 1024, 2048];

pub(super) fn run(place: &Place, report: &mut Report) -> io::Result<()> {
    let whole = place.run(&format!("{RUN} --out whole"))?;
    if !whole.succeeded() {
        report.fault(format!("an undisturbed run: {}", whole.last()));
        return Ok(());
    }
    twice(place, report)?;
    memory(place, report)?;
    disk(place, report)
}

/// Whether a run, begun or not, goes on to the bytes of the undisturbed one.
fn goes_on(place: &Place, what: &str, report: &mut Report) -> io::Result<bool> {
    let mut ended = place.run("train --resume --out run")?;
    if ended.refused() && ended.said.contains("no run to resume") {
        ended = place.run(&format!("{RUN} --out run"))?;
    }
    let same = ended.succeeded() && place.results("run")? == place.results("whole")?;
    if !same {
        report.fault(format!("{what}: it does not go on: {}", ended.last()));
    }
    Ok(same)
}

fn twice(place: &Place, report: &mut Report) -> io::Result<()> {
    let mut first = place.command(&format!("{RUN} --out run")).spawn()?;
    let started = Instant::now();
    while !place.path("run/train.toml").exists() && started.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(2));
    }
    let mut refused = 0;
    for words in [
        format!("{RUN} --out run"),
        "train --resume --out run".into(),
    ] {
        let ended = place.run(&words)?;
        match ended.refused() && ended.said.contains("another run") {
            true => refused += 1,
            false => report.fault(format!("two at once: {}", ended.last())),
        }
    }
    let first = first.wait()?;
    if !first.success() || place.results("run")? != place.results("whole")? {
        report.fault("two at once: the first one is disturbed".into());
    }
    place.remove("run")?;
    report.figure(format!(
        "two at once: {refused} of 2 second runs refused, the first undisturbed"
    ));
    Ok(())
}

fn memory(place: &Place, report: &mut Report) -> io::Result<()> {
    let (mut ended_well, mut went_on) = (Vec::new(), Vec::new());
    for mib in MEMORY {
        let limit = format!("ulimit -v {}", mib << 10);
        let ended = place.limited(&limit, &format!("{RUN} --out run"))?;
        if ended.succeeded() {
            if place.results("run")? != place.results("whole")? {
                report.fault(format!("{mib} MiB: other bytes"));
            }
            ended_well.push(mib.to_string());
        } else if goes_on(place, &format!("{mib} MiB"), report)? {
            went_on.push(mib.to_string());
        }
        if place.path("run").exists() {
            place.remove("run")?;
        }
    }
    report.figure(format!(
        "memory: of runs within {MEMORY:?} MiB those within {} end byte-identical; those within {} fail, and go on byte-identical without the limit",
        ended_well.join(", "),
        went_on.join(", "),
    ));
    Ok(())
}

/// Mount a small disk at `run` by these options; whether that can be done.
fn mount(place: &Place, options: &str) -> io::Result<bool> {
    let mut command = Command::new("mount");
    command
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(place.path("run"));
    let status = command.stderr(Stdio::null()).status();
    Ok(status.is_ok_and(|status| status.success()))
}

fn disk(place: &Place, report: &mut Report) -> io::Result<()> {
    fs::create_dir(place.path("run"))?;
    let (mut full, mut went_on) = (0, 0);
    for kib in [4, 16, 64, 128, 160, 192, 224, 256] {
        if !mount(place, &format!("size={kib}k"))? {
            report.figure("left out: full and read-only disks: tmpfs cannot be mounted".into());
            return Ok(());
        }
        let ended = place.run(&format!("{RUN} --out run"))?;
        if !ended.succeeded() {
            full += 1;
            let what = format!("disk of {kib} KiB");
            if ended.code.is_none() || !ended.said.contains("error: ") {
                report.fault(format!("{what}: {}", ended.last()));
            }
            mount_again(place, "remount,size=64m")?;
            went_on += u64::from(goes_on(place, &what, report)?);
        }
        unmount(place)?;
    }
    report.figure(format!("full disk: {full} runs end with an error, {went_on} go on byte-identical once there is room"));
    if mount(place, "ro")? {
        let ended = place.run(&format!("{RUN} --out run"))?;
        unmount(place)?;
        match ended.refused() {
            true => report.figure("read-only disk: refused with exit 2".into()),
            false => report.fault(format!("read-only disk: {}", ended.last())),
        }
    }
    Ok(())
}

fn mount_again(place: &Place, options: &str) -> io::Result<()> {
    let mut command = Command::new("mount");
    command
        .args(["-o", options])
        .arg(place.path("run"))
        .status()?;
    Ok(())
}

fn unmount(place: &Place) -> io::Result<()> {
    Command::new("umount").arg(place.path("run")).status()?;
    Ok(())
}
