//! The command without arguments.

use std::process::Command;

#[test]
fn fine_tunes_merges_and_completes() {
    let dir = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_peft"))
        .current_dir(&dir)
        .output()
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert!(run.status.success(), "{stdout}\n{stderr}");

    let line = stdout
        .lines()
        .find(|line| line.starts_with("accuracy on 1600 test rows"))
        .unwrap_or_else(|| panic!("no summary in\n{stdout}"));
    let figure = |name: &str| -> f64 {
        let (_, rest) = line.split_once(name).unwrap();
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    let (before, after) = (figure("before"), figure("after"));
    let majority = figure("always the same category");
    assert!(before < 0.3, "{line}");
    assert!(after > 0.62 && after > 5.0 * majority, "{line}");

    let demo = dir.path().join("peft-demo");
    for file in [
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "merged/model.safetensors",
        "merged/tokenizer.json",
        "wordnet/LICENSE",
    ] {
        assert!(demo.join(file).is_file(), "{file} is missing");
    }
    // What it says to run next names the command as it was called.
    assert!(stdout.contains("peft train --model DIR"), "{stdout}");
}
