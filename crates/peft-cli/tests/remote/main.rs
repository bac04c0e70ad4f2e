//! Devices of other machines, which are this one: workers on the loopback interface.
#![cfg(all(feature = "remote", unix))]

#[path = "../common/mod.rs"]
mod common;
mod other_version;
mod three;
mod worker;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Place, command};
use other_version::answer_as_version_99;
use serde_json::Value;
use worker::{Worker, ends};

const RUN: &str = "train --model model --train train.jsonl --valid valid.jsonl --lr 0.01 \
                   --batch-size 4 --seed 3";

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// What a run has recorded of its steps.
fn steps(place: &Place, out: &str) -> Vec<Value> {
    let lines = String::from_utf8(place.read(&format!("{out}/metrics.jsonl"))).expect("text");
    lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|line| line["train"].clone())
        .filter(Value::is_object)
        .collect()
}

#[test]
fn workers_have_the_losses_of_one_device() {
    let place = Place::new();
    let (a, b) = (Worker::start(""), Worker::start(""));
    for (name, method) in [
        ("lora", "--method lora --rank 2"),
        ("prefix", "--method prefix-tuning --virtual-tokens 4"),
        ("badam", "--method badam --every 7"),
    ] {
        let run = |out: &str, devices: &str| {
            let line = format!("{RUN} {method} --max-steps 50 --out {out} --device {devices}");
            let out_of = place.run(&words(&line));
            assert!(out_of.status.success(), "{name}: {}", said(&out_of));
            steps(&place, out)
        };
        let one = run(&format!("{name}-one"), "flex --workers 1");
        let both = format!("{name}-both");
        let all = run(&both, &format!("{},{}", a.device(), b.device()));
        let mixed = run(&format!("{name}-mixed"), &format!("flex,{}", a.device()));
        let loss = |step: &Value| step["loss"].as_f64().expect("a number");
        assert_eq!(one.len(), 50);
        let mean = |steps: &[Value]| steps.iter().map(loss).sum::<f64>() / 10.0;
        let falls = mean(&one[..10]) - mean(&one[40..]);
        assert!(falls > 0.01, "{name}: by {falls}");
        for others in [&all, &mixed] {
            for (one, other) in one.iter().zip(others.iter()) {
                let apart = (loss(one) - loss(other)).abs();
                assert!(apart < 2e-3 * falls, "{name}: {one} and {other}");
            }
        }
        if name == "badam" {
            continue;
        }
        // One worker beyond the first: what trains, once each way. Between two that do not know
        // each other, by way of this process, which is twice.
        let file = place.read(&format!("{both}/adapter_model.safetensors"));
        let file = safetensors::SafeTensors::deserialize(&file).expect("tensors");
        let bytes: usize = file.tensors().iter().map(|(_, t)| t.data().len()).sum();
        for (steps, ways) in [(&mixed, 1), (&all, 2)] {
            for (at, step) in steps.iter().enumerate() {
                let told = |key: &str| step[key].as_u64().unwrap_or(0) as usize;
                let ratio = |key: &str| told(key) as f64 / (ways * bytes) as f64;
                assert!(
                    (ratio("received_bytes") - 1.0).abs() < 0.1,
                    "{name}: {step}"
                );
                match at {
                    // The first values go with the model.
                    0 => assert_eq!(told("sent_bytes"), 0),
                    _ => assert!((ratio("sent_bytes") - 1.0).abs() < 0.1, "{name}: {step}"),
                }
            }
        }
    }
}

#[test]
fn a_worker_evaluates_and_generates() {
    let place = Place::new();
    let worker = Worker::start("--device flex,flex");
    for line in [
        "eval --model model --data valid.jsonl --json",
        "generate --model model --prompt dog --max-new-tokens 8",
    ] {
        let here = place.runs(&words(line));
        let there = place.runs(&words(&format!("{line} --device {}/1", worker.device())));
        match serde_json::from_str::<Value>(&here) {
            Ok(here) => {
                let there: Value = serde_json::from_str(&there).expect("JSON");
                let loss = |of: &Value| of["loss"].as_f64().expect("a loss");
                assert!((loss(&here) - loss(&there)).abs() < 1e-4, "{here} {there}");
            }
            Err(_) => assert_eq!(here, there),
        }
    }
}

/// A run that shares its steps with a worker, some steps on its way.
fn begun(place: &Place, worker: &Worker, out: &str, steps_of_it: usize) -> Child {
    begun_on(
        place,
        &format!("flex,{}", worker.device()),
        out,
        steps_of_it,
    )
}

/// A run on these devices, some steps on its way.
fn begun_on(place: &Place, devices: &str, out: &str, steps_of_it: usize) -> Child {
    let flags = format!("--save-every 100000 --device {devices}");
    begun_by(place, &flags, out, steps_of_it)
}

/// A run by these flags, some steps on its way.
fn begun_by(place: &Place, flags: &str, out: &str, steps_of_it: usize) -> Child {
    let line = format!("{RUN} --rank 2 --max-steps {steps_of_it} --out {out} {flags}");
    let child = command(&words(&line))
        .current_dir(place.path("."))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let started = Instant::now();
    while !place.path(&format!("{out}/metrics.jsonl")).exists() || steps(place, out).len() < 5 {
        assert!(started.elapsed() < Duration::from_secs(120), "no steps");
        thread::sleep(Duration::from_millis(5));
    }
    child
}

/// The last line of what a command said, which is its error.
fn error_line(message: &str) -> &str {
    message.lines().last().unwrap_or_default()
}

fn said_by(child: &mut Child) -> String {
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut said).expect("text");
    said
}

#[test]
fn a_worker_that_is_killed_costs_nothing() {
    let place = Place::new();
    let mut worker = Worker::start("");
    let mut run = begun(&place, &worker, "cut", 200);
    worker.child.kill().expect("it is killed");
    let status = ends(&mut run, Duration::from_secs(30));
    let message = said_by(&mut run);
    assert_eq!(status.code(), Some(1), "{message}");
    assert!(error_line(&message).contains(&worker.device()), "{message}");
    assert!(
        message.contains("peft train --resume --out cut"),
        "{message}"
    );
    assert!(!message.contains("panicked"), "{message}");
    let done = steps(&place, "cut").len();
    let kept = format!("the state after step {done} is kept");
    assert!(message.contains(&kept), "{done}: {message}");
    let other = Worker::start("");
    let devices = format!("flex,{}", other.device());
    place.runs(&words(&format!(
        "train --resume --out cut --device {devices}"
    )));
    place.runs(&words(&format!(
        "{RUN} --rank 2 --max-steps 200 --save-every 100000 --out whole --device {devices}"
    )));
    let adapter = |out: &str| place.read(&format!("{out}/adapter_model.safetensors"));
    assert!(adapter("cut") == adapter("whole"));
}

#[test]
fn a_worker_that_stalls_ends_the_run() {
    let place = Place::new();
    let worker = Worker::start("");
    let mut run = begun(&place, &worker, "cut", 100_000);
    worker.signal("STOP");
    let status = ends(&mut run, Duration::from_secs(60));
    let message = said_by(&mut run);
    assert_eq!(status.code(), Some(1), "{message}");
    assert!(error_line(&message).contains(&worker.device()), "{message}");
    assert!(message.contains("has not answered for"), "{message}");
    let done = steps(&place, "cut").len();
    let kept = format!("the state after step {done} is kept");
    assert!(message.contains(&kept), "{done}: {message}");
}

#[test]
fn a_worker_asks_for_its_token() {
    let place = Place::new();
    for (file, text) in [
        ("token", "a secret\n"),
        ("wrong", "a guess\n"),
        ("empty", "\n"),
    ] {
        std::fs::write(place.path(file), text).expect("it is written");
    }
    let token = place.path("token");
    let worker = Worker::start(&format!("--token-file {}", token.display()));
    assert!(worker.said.contains("with the token"), "{}", worker.said);
    let line = format!(
        "eval --model model --data valid.jsonl --device {}",
        worker.device()
    );
    let refused = |extra: &str| place.refuses(&words(&format!("{line} {extra}")));
    assert!(refused("").contains("the worker asks for a token"));
    assert!(refused("--token-file wrong").contains("the worker refuses the token"));
    assert!(refused("--token-file empty").contains("no token in it"));
    place.runs(&words(&format!("{line} --token-file token")));
    let by_variable = command(&words(&line))
        .current_dir(place.path("."))
        .env("PEFT_WORKER_TOKEN", "a secret")
        .output()
        .expect("the command runs");
    assert!(by_variable.status.success(), "{}", said(&by_variable));
}

#[test]
fn a_worker_does_not_listen_to_others_without_a_token() {
    let place = Place::new();
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let message = place.refuses(&["worker", "--listen", listen]);
        assert!(message.contains("--token-file"), "{message}");
    }
    for (line, part) in [
        ("worker --listen nowhere", "HOST:PORT of this machine, as"),
        ("worker --device flex,ndarray", "of one backend"),
        ("worker --device nothing", "no device `nothing`"),
        (
            "worker --device remote:ws://a:1",
            "a worker's devices are for",
        ),
    ] {
        let message = place.refuses(&words(line));
        assert!(message.contains(part), "{message}");
    }
    // One that it may, ends cleanly.
    let mut worker = Worker::start("");
    assert!(worker.said.contains("serves flex at ws://127.0.0.1:"));
    let device = worker.device();
    let line = format!("eval --model model --data valid.jsonl --device {device}");
    place.runs(&words(&line));
    worker.signal("INT");
    assert!(ends(&mut worker.child, Duration::from_secs(20)).success());
}

#[test]
fn what_is_no_worker_is_named_in_time() {
    let place = Place::new();
    let fails = |device: &str, status: i32, part: &str| {
        let line = format!("eval --model model --data valid.jsonl --device {device}");
        let started = Instant::now();
        let out = place.run(&words(&line));
        let message = said(&out);
        assert_eq!(out.status.code(), Some(status), "{message}");
        assert!(message.contains(part), "{message}");
        assert!(message.contains(device), "{message}");
        assert!(started.elapsed() < Duration::from_secs(40), "{message}");
    };
    let worker = Worker::start("");
    fails(&format!("{}/3", worker.device()), 2, "the worker lends 1");
    fails("remote:http://a", 2, "remote:ws://HOST:PORT");
    fails("ws://127.0.0.1:1", 2, "remote:ws://HOST:PORT");
    fails("remote:ws://no.invalid:1", 1, "its host has no address");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let nobody = format!("remote:ws://{address}");
    fails(&nobody, 1, "no worker listens there");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let other = format!("remote:ws://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Read first: what is left unread resets the connection.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"SSH-2.0-x\r\n");
        }
    });
    fails(&other, 1, "is no worker");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_device = format!("remote:ws://{}", silent.local_addr().expect("an address"));
    fails(&silent_device, 1, "no answer");
}

#[test]
fn a_tensor_that_a_worker_does_not_take_is_refused_before_it_is_read() {
    let place = Place::new();
    let worker = Worker::start("");
    let (shape, bytes) = ([300_000, 1024], 300_000 * 1024 * 2);
    let header = serde_json::json!({ "model.embed_tokens.weight": {
        "dtype": "BF16", "shape": shape, "data_offsets": [0, bytes]
    }});
    let header = header.to_string();
    let mut file = File::create(place.path("fresh/model.safetensors")).expect("a file");
    let length = (header.len() as u64).to_le_bytes();
    file.write_all(&length).expect("it is written");
    file.write_all(header.as_bytes()).expect("it is written");
    // The rest is a hole.
    file.set_len((8 + header.len() + bytes) as u64)
        .expect("it has this length");
    let line = format!(
        "eval --model fresh --data valid.jsonl --device {} --dtype",
        worker.device()
    );
    let message = place.refuses(&words(&format!("{line} f32")));
    let large = "`model.embed_tokens.weight` has 1228800000 bytes in f32";
    assert!(message.contains(large), "{message}");
    assert!(message.contains("--dtype bf16 halves it"), "{message}");
    let other = place.refuses(&words(&format!("{line} bf16")));
    assert!(!other.contains("in one tensor"), "{other}");
}

#[test]
fn a_worker_of_another_version_is_refused() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let device = format!("remote:ws://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer_as_version_99(stream);
        }
    });
    let line = format!("eval --model model --data valid.jsonl --device {device}");
    let out = place.run(&words(&line));
    let message = said(&out);
    assert_eq!(out.status.code(), Some(1), "{message}");
    assert!(message.contains("of another version"), "{message}");
    assert!(message.contains("version 99"), "{message}");
}
