"""A merged model beside its base with the adapter, in Python: the same greedy answers to ten prompts?

    python tests/bench/merge_smollm2.py rows rows.jsonl
    peft train --model SMOLLM2 --train rows.jsonl --targets q_proj,v_proj --max-steps 20 --batch-size 4 --out run
    peft merge --model SMOLLM2 --adapter run --out merged
    python tests/bench/merge_smollm2.py compare SMOLLM2 run merged

`compare` also says how far the logits are apart, and what
PEFT's own merge in the same precision does. It fails where an answer differs.
"""

import json
import sys

TURNS = [
    ("What is the capital of France?", "Paris."),
    ("Name a colour of the sky.", "Blue."),
    ("How many legs has a spider?", "Eight."),
    ("Which animal barks?", "A dog."),
    ("What do bees make?", "Honey."),
    ("What is frozen water called?", "Ice."),
    ("Name the planet we live on.", "Earth."),
    ("What is two plus three?", "Five."),
]
PROMPTS = [turn[0] for turn in TURNS[:4]] + [
    "What is the capital of Italy?",
    "Which animal says meow?",
    "What is the opposite of hot?",
    "Name a fruit that is yellow.",
    "How many days has a week?",
    "What do cows drink?",
]


def rows(path):
    """Conversations of several turns."""
    with open(path, "w") as file:
        for i in range(32):
            turns = [TURNS[i % len(TURNS)], TURNS[(i * 3 + 1) % len(TURNS)]]
            messages = []
            for question, answer in turns:
                messages.append({"role": "user", "content": question})
                messages.append({"role": "assistant", "content": f"Captain says: {answer}"})
            file.write(json.dumps({"messages": messages}) + "\n")


def compare(base, adapter, merged):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(merged)

    def load(path, dtype):
        return AutoModelForCausalLM.from_pretrained(path, dtype=dtype).eval()

    def inputs(prompt):
        turn = [{"role": "user", "content": prompt}]
        return tokenizer.apply_chat_template(
            turn, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )

    def answers(model):
        found = []
        for prompt in PROMPTS:
            given = inputs(prompt)
            out = model.generate(**given, do_sample=False, max_new_tokens=24)
            found.append(tokenizer.decode(out[0, given["input_ids"].shape[1] :]))
        return found

    def logits(model):
        with torch.no_grad():
            return [model(**inputs(prompt)).logits.float() for prompt in PROMPTS]

    def apart(a, b):
        return max((x - y).abs().max().item() for x, y in zip(a, b))

    stored = load(merged, "auto")
    print("stored as", stored.dtype)
    unmerged = PeftModel.from_pretrained(load(base, torch.float32), adapter)
    expected, exact = answers(unmerged), logits(unmerged)
    ours = load(merged, torch.float32)
    found = answers(ours)
    theirs = PeftModel.from_pretrained(load(base, stored.dtype), adapter).merge_and_unload()
    print(f"logits, from the unmerged model's in f32: ours in f32 {apart(logits(ours), exact):.3f}, ", end="")
    print(f"ours in {stored.dtype} {apart(logits(stored), exact):.3f}, ", end="")
    print(f"PEFT's merge in {stored.dtype} {apart(logits(theirs), exact):.3f}")
    low = answers(stored)
    for prompt, a, b, c in zip(PROMPTS, expected, found, low):
        print(json.dumps([prompt, a]), "same" if a == b == c else json.dumps([b, c]))
    same = sum(a == b for a, b in zip(expected, found))
    print(f"{same} of {len(PROMPTS)} answers are the same in f32, ", end="")
    print(f"{sum(a == b for a, b in zip(expected, low))} in {stored.dtype}")
    sys.exit(same != len(PROMPTS))


if __name__ == "__main__":
    {"rows": rows, "compare": compare}[sys.argv[1]](*sys.argv[2:])
