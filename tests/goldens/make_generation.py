"""What transformers' logits processors leave of a token's choices. Run: python make_generation.py"""

import json
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.generation import GenerationConfig

VOCAB = 24
model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1))
torch.manual_seed(0)
PROMPT, NEW = [3, 1, 4, 1, 5, 9], [2, 6, 3, 1]

CASES = [
    dict(temperature=0.7),
    dict(temperature=1.5, top_k=7),
    dict(top_k=0, top_p=0.6),
    dict(temperature=2.0, top_k=0, top_p=0.8),
    dict(top_k=0, min_p=0.2),
    dict(temperature=0.5, top_k=0, min_p=0.2),
    dict(temperature=3.0, top_k=15, top_p=0.9, min_p=0.4),
    dict(top_k=0, min_p=1.0),
    dict(top_k=0, min_p=0.0),
    dict(temperature=0.9, top_k=10, repetition_penalty=1.7),
    dict(top_k=0, no_repeat_ngram_size=2),
    dict(top_k=0, no_repeat_ngram_size=1),
    dict(top_k=0, no_repeat_ngram_size=3),
    dict(top_k=0, bad_words_ids=[[7], [3, 1, 8], [6, 1, 9], [11]], eos=[11]),
    dict(top_k=0, suppress_tokens=[1, 2, 3]),
    dict(top_k=0, begin_suppress_tokens=[1, 2, 3]),
    dict(top_k=0, begin_suppress_tokens=[1, 2, 3], at=0),
    dict(top_k=0, min_length=20, eos=[4, 5]),
    dict(top_k=0, min_length=10, eos=[4, 5]),
    dict(top_k=0, min_new_tokens=4, eos=[4, 5]),
    dict(top_k=0, min_new_tokens=5, eos=[4, 5]),
    dict(temperature=1.3, top_k=12, top_p=0.95, min_p=0.02, repetition_penalty=0.8, suppress_tokens=[0, 9], no_repeat_ngram_size=2),
]

out = []
for case in CASES:
    logits = torch.randn(VOCAB) * 2
    fields = {k: v for k, v in case.items() if k not in ("eos", "at")}
    config = GenerationConfig(do_sample=True, eos_token_id=case.get("eos"), **fields)
    config._eos_token_tensor = torch.tensor(case["eos"]) if "eos" in case else None
    processors = model._get_logits_processor(config, input_ids_seq_length=len(PROMPT), device="cpu")
    new = NEW[: case.get("at", len(NEW))]
    scores = processors(torch.tensor([PROMPT + new]), logits[None].clone())[0]
    probabilities = scores.softmax(-1)
    out.append(case | dict(new=new, logits=logits.tolist(), probabilities=probabilities.tolist()))
path = Path(__file__).parent / "generation.json"
path.write_text(json.dumps(dict(prompt=PROMPT, cases=out), indent=None).replace('}, {', '},\n{') + "\n")
