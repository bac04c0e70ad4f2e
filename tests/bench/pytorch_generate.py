"""The continuations of tests/examples/bench_generate.rs by transformers, on the same checkpoint and
prompts:

    python pytorch_generate.py DIR PROMPTS NEW f32|bf16

Prints `seconds=S peak_kib=N trainable=0 tokens=A,B,..`. Made with torch 2.15.0 (CPU),
transformers 5.23.0.
"""

import os
import sys
import time

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

PROMPT = 32
TIMES = 3


def peak_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def main():
    directory, prompts, new, dtype = sys.argv[1:]
    prompts, new = int(prompts), int(new)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype).eval()
    vocabulary = model.config.vocab_size
    ids = [(i * 7919 + 13) % vocabulary for i in range(prompts * PROMPT)]
    ids = torch.tensor(ids).reshape(prompts, PROMPT)
    greedy = GenerationConfig(
        do_sample=False, max_new_tokens=new, min_new_tokens=new, pad_token_id=0
    )
    seconds = float("inf")
    with torch.inference_mode():
        for _ in range(TIMES):
            started = time.perf_counter()
            found = model.generate(
                ids, attention_mask=torch.ones_like(ids), generation_config=greedy
            )
            seconds = min(seconds, time.perf_counter() - started)
    tokens = ",".join(str(token) for token in found[:, PROMPT:].reshape(-1).tolist())
    print(f"seconds={seconds:.4f} peak_kib={peak_kib()} trainable=0 tokens={tokens}")


if __name__ == "__main__":
    main()
