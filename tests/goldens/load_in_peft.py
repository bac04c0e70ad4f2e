"""Load a model and an adapter in Python's PEFT and print its loss on rows of JSONL: load_in_peft.py MODEL ADAPTER DATA [--no-eos]"""

import json
import sys

import torch
from peft import PeftModel
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

model_dir, adapter, data = sys.argv[1:4]
config = json.load(open(f"{model_dir}/tokenizer_config.json"))
tokenizer = Tokenizer.from_file(f"{model_dir}/tokenizer.json")
eos = [] if "--no-eos" in sys.argv or not config.get("eos_token") else [tokenizer.token_to_id(config["eos_token"])]
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32), adapter).eval()
loss, tokens, rows = 0.0, 0, [json.loads(line) for line in open(data) if line.strip()]
for row in rows:
    if "text" in row:
        ids, given = tokenizer.encode(row["text"]).ids, 1
    else:
        prompt = tokenizer.encode(row["prompt"]).ids
        ids = prompt + tokenizer.encode(row["completion"], add_special_tokens=False).ids + eos
        given = max(1, len(prompt))
    with torch.no_grad():
        log_probs = model(torch.tensor([ids])).logits[0, -len(ids):-1].log_softmax(-1)  # without virtual tokens
    target = torch.tensor(ids[1:])
    nll = -log_probs.gather(1, target[:, None])[:, 0][given - 1:]
    loss, tokens = loss + nll.sum().item(), tokens + len(nll)
print(json.dumps({"loss": loss / tokens, "tokens": tokens, "examples": len(rows)}))
