//! Three workers, and a model that goes through one.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::common::Place;
use super::worker::{Worker, ends};
use super::{RUN, begun_by, begun_on, error_line, said, said_by, steps, words};

fn ran(place: &Place, out: &str, flags: &str) -> Vec<Value> {
    ran_by(place, RUN, out, flags)
}

fn ran_by(place: &Place, begin: &str, out: &str, flags: &str) -> Vec<Value> {
    let line = format!("{begin} --out {out} {flags}");
    let out_of = place.run(&words(&line));
    assert!(out_of.status.success(), "{line}: {}", said(&out_of));
    steps(place, out)
}

fn loss(step: &Value) -> f64 {
    step["loss"].as_f64().expect("a number")
}

/// That the losses are alike, by how far they fall.
#[track_caller]
fn same_losses(one: &[Value], other: &[Value]) {
    let (first, last) = (loss(&one[0]), loss(&one[one.len() - 1]));
    assert!(first - last > 0.01, "from {first} to {last}");
    for (one, other) in one.iter().zip(other) {
        let apart = (loss(one) - loss(other)).abs();
        assert!(apart < 2e-3 * (first - last), "{one} and {other}");
    }
    assert_eq!(one.len(), other.len());
}

/// What trains goes to each device beyond the first and comes back from there; between workers by
/// way of this process, which sends it once to itself and gets it twice from each.
#[test]
fn three_workers_have_the_losses_of_one_device() {
    let place = Place::new();
    let workers = [Worker::start(""), Worker::start(""), Worker::start("")];
    let all = workers.each_ref().map(Worker::device).join(",");
    // Rows enough that each worker has some in every step: of four, two workers may have two each.
    let begin = RUN.replace("--batch-size 4", "--batch-size 9");
    let run = |out: &str, devices: &str| {
        let flags = format!("--rank 2 --max-steps 20 --device {devices}");
        ran_by(&place, &begin, out, &flags)
    };
    let one = run("one", "flex --workers 1");
    let file = place.read("one/adapter_model.safetensors");
    let file = safetensors::SafeTensors::deserialize(&file).expect("tensors");
    let bytes: usize = file.tensors().iter().map(|(_, t)| t.data().len()).sum();
    for (out, devices, [sent, received]) in [
        ("mixed", format!("flex,{all}"), [3, 3]),
        ("remote", all.clone(), [3, 4]),
    ] {
        let found = run(out, &devices);
        same_losses(&one, &found);
        for step in &found[1..] {
            let ratio = |key: &str, times: usize| {
                let told = step[key].as_u64().unwrap_or(0) as f64;
                told / (times * bytes) as f64
            };
            for (key, times) in [("sent_bytes", sent), ("received_bytes", received)] {
                let ratio = ratio(key, times);
                assert!((ratio - 1.0).abs() < 0.1, "{out}, {key}: {step}");
            }
        }
    }
}

/// The others go on with a new one, to the bits of a run in which none was killed; and by
/// themselves, to its losses.
#[test]
fn one_of_three_is_killed() {
    let place = Place::new();
    let (mut first, second) = (Worker::start(""), Worker::start(""));
    let others = format!("flex,{}", second.device());
    let devices = format!("{others},{}", first.device());
    let mut run = begun_on(&place, &devices, "cut", 200);
    first.child.kill().expect("it is killed");
    let status = ends(&mut run, Duration::from_secs(30));
    let message = said_by(&mut run);
    assert_eq!(status.code(), Some(1), "{message}");
    let error = error_line(&message);
    assert!(error.contains(&first.device()), "{message}");
    assert!(!error.contains(&second.device()), "{message}");
    let done = steps(&place, "cut").len();
    let kept = format!("the state after step {done} is kept");
    assert!(message.contains(&kept), "{done}: {message}");
    copy(&place.path("cut"), &place.path("left"));
    place.runs(&words(&format!(
        "train --resume --out left --device {others}"
    )));
    let third = Worker::start("");
    let devices = format!("{others},{}", third.device());
    place.runs(&words(&format!(
        "train --resume --out cut --device {devices}"
    )));
    let flags = format!("--rank 2 --max-steps 200 --save-every 100000 --device {devices}");
    let whole = ran(&place, "whole", &flags);
    let adapter = |out: &str| place.read(&format!("{out}/adapter_model.safetensors"));
    assert!(adapter("cut") == adapter("whole"));
    // Rounding grows from step to step, by Adam's quotients.
    let left = steps(&place, "left");
    assert!(done < 40 && left.len() == whole.len(), "{done}");
    same_losses(&whole[..50], &left[..50]);
}

/// What the first device held is lost with it: the run goes on from the newest state on disk.
#[test]
fn the_first_of_three_is_killed() {
    const EVERY: usize = 3;
    let place = Place::new();
    let (mut first, second, third) = (Worker::start(""), Worker::start(""), Worker::start(""));
    let devices = |first: &Worker| {
        let all = [first, &second, &third].map(Worker::device);
        format!("--save-every {EVERY} --device {}", all.join(","))
    };
    let mut run = begun_by(&place, &devices(&first), "cut", 60);
    first.child.kill().expect("it is killed");
    let status = ends(&mut run, Duration::from_secs(30));
    let message = said_by(&mut run);
    assert_eq!(status.code(), Some(1), "{message}");
    let error = error_line(&message);
    assert!(error.contains(&first.device()), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    let done = steps(&place, "cut").len();
    let kept = format!("the state after step {} is kept", done / EVERY * EVERY);
    assert!(message.contains(&kept), "{done}: {message}");
    let other = Worker::start("");
    place.runs(&words(&format!(
        "train --resume --out cut {}",
        devices(&other)
    )));
    let flags = format!("--rank 2 --max-steps 60 {}", devices(&other));
    ran(&place, "whole", &flags);
    let adapter = |out: &str| place.read(&format!("{out}/adapter_model.safetensors"));
    assert!(adapter("cut") == adapter("whole"));
}

/// The files of a directory, and of those in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(fs::copy(&path, to).expect("it is copied")),
        }
    }
}

/// Blocks here and on a worker.
#[test]
fn a_model_is_divided_between_this_machine_and_a_worker() {
    let place = Place::new();
    let worker = Worker::start("");
    ran(&place, "begun", "--rank 2 --max-steps 2");
    let run = |out: &str, devices: &str| {
        let flags = format!("--init-adapter begun --max-steps 20 --device {devices}");
        ran(&place, out, &flags)
    };
    let one = run("one", "flex --workers 1");
    let split = format!("flex,{} --split-model", worker.device());
    same_losses(&one, &run("split", &split));
    let generate = "generate --model model --adapter one --prompt dog --max-new-tokens 8";
    let text = place.runs(&words(generate));
    let there = place.runs(&words(&format!("{generate} --device {split}")));
    assert_eq!(there, text);
    let other = Worker::start("");
    let far = format!("{},{}", worker.device(), other.device());
    let message = place.refuses(&words(&format!("{generate} --split-model --device {far}")));
    assert!(message.contains("of two workers"), "{message}");
}
