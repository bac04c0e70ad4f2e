"""The assistant's turns of plain chat templates, found here, against those that the same template's pair for training marks by `{% generation %}`: each
`NAME.jinja` with a `NAME_training.jinja` in a folder, such as TRL's `chat_templates`, with the conversations of `templates.py` that have an answer. Every byte is
a token, but for those that begin and end a text. Run: python masks.py FOLDER (after `cargo build -p peft-train --example mask`; the program's path may follow)"""

import copy
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers.utils.chat_template_utils import _compile_jinja_template, _render_with_assistant_indices

from templates import CONVERSATIONS

PROGRAM = Path(__file__).parents[2] / "target/debug/examples/mask"


def tokenizer():
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), decoders.ByteLevel()
    inner.add_special_tokens(["<s>", "</s>"])
    return inner


def rendered(path, conversation, prompt=False):
    """The text, and of each character whether it is marked; or none where the template fails."""
    context = {"tools": None, "documents": None, **conversation, "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>"}
    try:
        text, spans = _render_with_assistant_indices(compiled_template=_compile_jinja_template(path.read_text()), **copy.deepcopy(context))
    except Exception:
        return None
    return text, [any(start <= i < end for start, end in spans) for i in range(len(text))]


def pieces(inner, ids, mask):
    """What is marked, in pieces."""
    out, before = [], False
    for token, mark in zip(ids, mask):
        if mark and not before:
            out.append([])
        if mark:
            out[-1].append(token)
        before = mark
    return [inner.decode(piece, skip_special_tokens=False) for piece in out]


def how(ours, theirs, opening):
    """What is marked beside the turns as they are here: from the end of the generation prompt to the beginning of the next turn."""
    if len(ours) != len(theirs):
        return "differ"
    more = set()
    for a, b in zip(ours, theirs):
        at = b.find(a.rstrip())
        if at < 0 or b[:at] not in opening:
            return "differ"
        begin, end = b[:at], b[at + len(a.rstrip()):]
        more |= {"some of the generation prompt"} if begin else set()
        more |= {"the next turn's header"} if end.strip() else {"white space at the end"} if end != a[len(a.rstrip()):] else set()
    return "are marked with " + " and ".join(sorted(more))


def main():
    folder, program = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else PROGRAM
    pairs = [(path, path.with_name(path.stem + "_training.jinja")) for path in sorted(folder.glob("*.jinja"))]
    pairs = [(plain, marked) for plain, marked in pairs if marked.is_file()]
    inner, counts, cases = tokenizer(), Counter(), []
    with tempfile.TemporaryDirectory() as place:
        for plain, marked in pairs:
            dir = Path(place) / plain.stem
            dir.mkdir()
            inner.save(str(dir / "tokenizer.json"))
            (dir / "tokenizer_config.json").write_text(json.dumps(dict(bos_token="<s>", eos_token="</s>")))
            (dir / "chat_template.jinja").write_text(plain.read_text())
            for name, conversation in CONVERSATIONS.items():
                if not any(message["role"] == "assistant" for message in conversation["messages"]):
                    continue
                texts = rendered(plain, conversation), rendered(marked, conversation)
                if None in texts:
                    counts["fail in one of the two"] += 1
                elif texts[0][0] != texts[1][0]:
                    counts["are written otherwise by the pair"] += 1
                elif not any(texts[1][1]):
                    counts["have no mark"] += 1
                else:
                    cases.append((str(dir), conversation, plain.name, name, *texts[1]))
        given = json.dumps([case[:2] for case in cases])
        found = json.loads(subprocess.run([program], input=given, capture_output=True, text=True, check=True).stdout)
    for (_, conversation, path, name, text, mask), result in zip(cases, found):
        if "error" in result:
            counts["are refused here"] += 1
            print(f"{path} {name}: {result['error']}")
            continue
        encoded = inner.encode(text)
        assert encoded.ids == result["ids"], (path, name)
        marks = [any(mask[start:end]) for start, end in encoded.offsets]
        # Nothing precedes the first token, so it is no target.
        if result["targets"][1:] == marks[1:]:
            counts["have the same mask"] += 1
            continue
        ours, theirs = pieces(inner, encoded.ids, result["targets"]), pieces(inner, encoded.ids, marks)
        first = next(i for i, message in enumerate(conversation["messages"]) if message["role"] == "assistant")
        opening = rendered(folder / path, {**conversation, "messages": conversation["messages"][:first]}, True)
        kind = how(ours, theirs, opening[0][-60:])
        counts[kind] += 1
        print(f"{path} {name}: {kind}\n  marked: {theirs}\n  here:   {ours}")
    print(f"{len(pairs)} pairs:", ", ".join(f"{count} {kind}" for kind, count in counts.items()))


if __name__ == "__main__":
    main()
