//! `train` on several devices.

mod common;

use common::{Place, command};
#[cfg(feature = "ndarray")]
use serde_json::Value;

const RUN: &str = "train --model model --train train.jsonl --valid valid.jsonl --rank 2 --lr 0.01 \
                   --batch-size 4 --seed 3";

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn trained(place: &Place, out: &str, extra: &str) -> Vec<u8> {
    place.runs(&words(&format!("{RUN} --max-steps 6 --out {out} {extra}")));
    place.read(&format!("{out}/adapter_model.safetensors"))
}

#[test]
fn a_device_named_twice_is_two_workers() {
    let place = Place::new();
    let workers = trained(&place, "workers", "--workers 2");
    assert!(trained(&place, "devices", "--device flex,flex") == workers);
    assert!(trained(&place, "one", "--workers 1") != workers);
}

#[test]
fn what_is_no_list_of_devices_is_refused() {
    let place = Place::new();
    let refused = |line: &str| place.refuses(&words(line));
    let run = |device: &str| refused(&format!("{RUN} --out out --device {device}"));
    assert!(run("flex,nothing").contains("no device `nothing`"));
    assert!(run("flex,").contains("no device ``"));
    let eval = refused("eval --model model --data valid.jsonl --device flex,flex");
    assert!(eval.contains("names 2 devices"), "{eval}");
    assert!(!place.path("out").exists());
}

/// A name that is none, in every build; and in one without workers, any.
#[test]
fn what_a_build_has_not_is_named() {
    let place = Place::new();
    let eval = "eval --model model --data valid.jsonl --device";
    let message = place.refuses(&words(&format!("{eval} remote:a")));
    assert!(message.contains("remote:ws://HOST:PORT"), "{message}");
    let message = place.refuses(&words("worker --listen 0.0.0.0:0"));
    assert!(message.contains("--token-file"), "{message}");
    if cfg!(not(feature = "remote")) {
        for line in [
            &format!("{eval} remote:ws://a:1"),
            "worker --listen 127.0.0.1:0",
        ] {
            let message = place.refuses(&words(line));
            assert!(message.contains("--features remote"), "{message}");
        }
    }
}

/// Numbers of a file that are nearly the same.
#[cfg(feature = "ndarray")]
fn near(a: &[u8], b: &[u8]) -> bool {
    let read = |bytes: &[u8]| -> Vec<f32> {
        let file = safetensors::SafeTensors::deserialize(bytes).expect("tensors");
        let mut names = file.names();
        names.sort_unstable();
        let data = names.into_iter().map(|name| file.tensor(name));
        data.flat_map(|tensor| tensor.expect("it is there").data().to_vec())
            .collect::<Vec<u8>>()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()
    };
    let (a, b) = (read(a), read(b));
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4)
}

#[cfg(feature = "ndarray")]
#[test]
fn two_backends_share_a_run() {
    let place = Place::new();
    let one = trained(&place, "one", "--workers 1");
    let both = trained(&place, "both", "--device flex,ndarray");
    assert!(near(&one, &both));
    let lines = String::from_utf8(place.read("both/metrics.jsonl")).expect("text");
    let file = safetensors::SafeTensors::deserialize(&both).expect("tensors");
    let bytes: usize = file.tensors().iter().map(|(_, t)| t.data().len()).sum();
    let steps: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["train"].clone())
        .filter(Value::is_object)
        .collect();
    assert_eq!(steps.len(), 6);
    for (at, step) in steps.iter().enumerate() {
        let told = |key: &str| step[key].as_u64().unwrap_or(0) as usize;
        assert_eq!(told("received_bytes"), bytes);
        // The first values go with the model.
        assert_eq!(told("sent_bytes"), if at == 0 { 0 } else { bytes });
    }
    let said = command(&words(&format!(
        "{RUN} --max-steps 2 --out said --device flex,ndarray"
    )));
    let said = { said }.current_dir(place.path(".")).output();
    let said = String::from_utf8(said.expect("it runs").stderr).expect("text");
    assert!(said.contains("flex and ndarray share each batch"), "{said}");
    assert!(said.contains("a step sent"), "{said}");
}

/// With the devices that it had, to the same bits; with others, up to rounding.
#[cfg(feature = "ndarray")]
#[test]
fn a_killed_run_goes_on() {
    let place = Place::new();
    let long = format!("{RUN} --max-steps 60 --save-every 5 --device flex,ndarray");
    place.runs(&words(&format!("{long} --out whole")));
    let whole = place.read("whole/adapter_model.safetensors");
    for (out, devices) in [("same", "flex,ndarray"), ("fewer", "flex")] {
        place.kills(
            &words(&format!("{long} --out {out}")),
            &format!("{out}/resume.safetensors"),
        );
        place.runs(&words(&format!(
            "train --resume --out {out} --device {devices}"
        )));
        let rest = place.read(&format!("{out}/adapter_model.safetensors"));
        assert!(near(&rest, &whole), "{devices}");
        assert_eq!(rest == whole, out == "same", "{devices}");
    }
    let message = place.refuses(&words("train --resume --out same --device ndarray,flex"));
    assert!(message.contains("device"), "{message}");
    let message = place.refuses(&words(&format!(
        "{RUN} --quantise nf4 --out out --device flex,ndarray"
    )));
    assert!(message.contains("this is `ndarray`"), "{message}");
}

/// The blocks on two backends: losses, answers and texts of one device.
#[cfg(feature = "ndarray")]
#[test]
fn a_model_is_divided_among_two_backends() {
    let place = Place::new();
    let split = "--split-model --device flex,ndarray";
    let begun = trained(&place, "begun", split);
    // Each device draws for what is on it.
    assert!(trained(&place, "again", split) == begun);
    let goes_on = |out: &str, flags: &str| {
        let line = RUN.replace("--rank 2", "--init-adapter begun");
        place.runs(&words(&format!("{line} --max-steps 6 --out {out} {flags}")));
        place.read(&format!("{out}/adapter_model.safetensors"))
    };
    let one = goes_on("one", "--workers 1");
    assert!(!near(&one, &begun));
    assert!(near(&one, &goes_on("split", split)));
    let said = command(&words(&format!(
        "{RUN} --max-steps 2 --out said {split} --recompute"
    )));
    let said = { said }.current_dir(place.path(".")).output();
    let said = String::from_utf8(said.expect("it runs").stderr).expect("text");
    // The embedding is most of this model.
    assert!(
        said.contains("blocks 0 to 1 on ndarray; all else on flex"),
        "{said}"
    );
    let generate = "generate --model model --adapter one --prompt the --max-new-tokens 8";
    let text = place.runs(&words(generate));
    assert_eq!(place.runs(&words(&format!("{generate} {split}"))), text);
    let eval = "eval --model model --adapter one --data valid.jsonl --json";
    let [one, both] = ["", split].map(|flags| {
        let found = place.runs(&words(&format!("{eval} {flags}")));
        let found: Value = serde_json::from_str(&found).expect("JSON");
        found["loss"].as_f64().expect("a loss")
    });
    assert!((one - both).abs() < 1e-4, "{one} and {both}");
}

#[test]
fn what_cannot_be_divided_is_refused() {
    let place = Place::new();
    let refused = |flags: &str| place.refuses(&words(&format!("{RUN} --out out {flags}")));
    let found = refused("--split-model");
    assert!(found.contains("names flex alone"), "{found}");
    let found = refused("--split-model --device flex,flex");
    assert!(found.contains("names flex twice"), "{found}");
    let found = refused("--split-model --device flex,ndarray --workers 2");
    assert!(found.contains("--workers"), "{found}");
    let far = "--device remote:ws://a:1,remote:ws://b:1";
    let found = refused(&format!("--split-model {far}"));
    assert!(found.contains("of two workers"), "{found}");
    assert!(!place.path("out").exists());
}
