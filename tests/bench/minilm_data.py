"""Makes rows of text and label of the WordNet task, for a classifier. Run: python minilm_data.py OUT"""

import argparse
import json
from pathlib import Path

ASSETS = Path(__file__).parents[2] / "crates/peft-cli/assets/wordnet"
END = ". category:"


def row(line):
    given = json.loads(line)
    if not given["prompt"].endswith(END):
        raise ValueError(f"a prompt that does not end in {END!r}: {given['prompt']!r}")
    return dict(text=given["prompt"].removesuffix(END), label=given["completion"].strip())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for part in ("train", "valid", "test"):
        name = f"{part}.jsonl"
        rows = [row(line) for line in (ASSETS / name).read_text().splitlines()]
        (out / name).write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))


if __name__ == "__main__":
    main()
