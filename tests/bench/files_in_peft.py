"""What the command leaves of every weight method, loaded in Python's PEFT: the loss of both on the same rows.

    python tests/bench/files_in_peft.py --model SMOLLM2

Trains each method for some steps with the command (`cargo build --release` first), evaluates it there and
in PEFT, and prints a table in markdown. A decoder with a tokenizer is needed (smollm2.py makes one). Made
with torch 2.15.0, transformers 5.24.0, peft 0.21.2.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
METHODS = {
    "lora": "--method lora",
    "lora, rslora": "--method lora --rslora",
    "dora": "--method lora --dora",
    "lora-fa": "--method lora --lora-fa",
    "lora, bias of B": "--method lora --lora-bias",
    "pissa": "--method lora --lora-init pissa",
    "olora": "--method lora --lora-init olora",
    "eva": "--method lora --lora-init eva",
    "corda": "--method lora --lora-init corda_kpm",
    "lora-ga": "--method lora --lora-init lora_ga",
    "token rows": "--method lora --token-ids 5,17",
} | {
    name: f"--method {name}"
    for name in (
        "adalora ia3 loha lokr vera randlora vblora oft boft hra road miss hira delora gralora shira fourierft"
        " c3a waveft trainable-tokens norms prompt-tuning p-tuning prefix-tuning"
    ).split()
}
METHODS["trainable-tokens"] += " --token-ids 5,17"
# With the default of 15 the first steps are too large for a run of three.
METHODS["delora"] += " --lambda 1"


def loss(command):
    output = subprocess.run(command, capture_output=True, text=True)
    if output.returncode:
        return None, output.stderr.strip().splitlines()[-1]
    return json.loads(output.stdout.strip().splitlines()[-1])["loss"], None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--steps", default="3")
    parser.add_argument("--only", default="")
    parser.add_argument("--peft", default=ROOT / "target/release/peft")
    args = parser.parse_args()
    pages = (ROOT / "docs/reliability.md").read_text().split("\n\n")
    texts = [" ".join(page.split()) for page in pages if page[:1].isalpha() and len(page) > 200]
    worst = 0.0
    print("| method | loss here | loss in PEFT | apart |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as work:
        rows = Path(work) / "rows.jsonl"
        rows.write_text("".join(json.dumps({"text": text[:400]}) + "\n" for text in texts[:12]))
        for name, flags in METHODS.items():
            out = Path(work) / name.replace(" ", "-")
            if args.only not in name:
                continue
            train = [args.peft, "train", "--model", args.model, "--train", rows, "--out", out]
            train += [*flags.split(), "--max-steps", args.steps, "--batch-size", "4", "--max-length", "128"]
            done = subprocess.run(train, capture_output=True, text=True)
            if done.returncode:
                print(f"| {name} | {done.stderr.strip().splitlines()[-1]} | | |", flush=True)
                worst = float("inf")
                continue
            ours = [args.peft, "eval", "--model", args.model, "--adapter", out, "--data", rows, "--json"]
            theirs = [sys.executable, ROOT / "tests/goldens/load_in_peft.py", args.model, out, rows]
            (here, wrong), (there, wrong_there) = loss(ours), loss(theirs)
            if wrong or wrong_there:
                print(f"| {name} | {wrong or here} | {wrong_there or there} | |", flush=True)
                worst = float("inf")
                continue
            apart = abs(here - there) / abs(there)
            worst = max(worst, apart)
            print(f"| {name} | {here:.5f} | {there:.5f} | {apart:.1e} |", flush=True)
    print(f"\nfarthest apart: {worst:.1e}")
    sys.exit(worst > 1e-4)


if __name__ == "__main__":
    main()
