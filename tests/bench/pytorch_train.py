"""The step of tests/examples/bench_train.rs in PyTorch and PEFT, on the same checkpoint and tokens:

    python pytorch_train.py DIR ROWS TOKENS f32|bf16 plain|checkpointed METHOD

METHOD is lora, dora, adalora, vera, loha or oft.

Prints `seconds=S peak_kib=N trainable=N loss=X floor=0`. Made with torch 2.15.0 (CPU),
transformers 5.23.0, peft 0.21.2.
"""

import os
import statistics
import sys
import time

import torch
from peft import (
    AdaLoraConfig,
    LoHaConfig,
    LoraConfig,
    OFTConfig,
    VeraConfig,
    get_peft_model,
)
from transformers import AutoModelForCausalLM

STEPS = 4
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def configured(method):
    targets = {"target_modules": PROJECTIONS}
    return {
        "lora": lambda: LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, **targets),
        "dora": lambda: LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, use_dora=True, **targets),
        "adalora": lambda: AdaLoraConfig(
            init_r=12,
            target_r=8,
            lora_alpha=16,
            lora_dropout=0.0,
            tinit=1,
            tfinal=1,
            deltaT=1,
            total_step=STEPS,
            **targets,
        ),
        "vera": lambda: VeraConfig(r=256, **targets),
        "loha": lambda: LoHaConfig(r=8, alpha=16, **targets),
        "oft": lambda: OFTConfig(oft_block_size=32, **targets),
    }[method]()


def peak_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def main():
    directory, rows, tokens, dtype, way, method = sys.argv[1:]
    rows, tokens = int(rows), int(tokens)
    torch.manual_seed(1)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
    base = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype)
    vocabulary = base.config.vocab_size
    base.config.use_cache = False
    if way == "checkpointed":
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model = get_peft_model(base, configured(method))
    if way == "checkpointed":
        model.enable_input_require_grads()
    model.train()
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-4, weight_decay=0.0)
    ids = [(i * 7919 + 13) % vocabulary for i in range(rows * tokens)]
    ids = torch.tensor(ids).reshape(rows, tokens)
    seconds, first = [], None
    for step in range(STEPS):
        started = time.perf_counter()
        loss = model(input_ids=ids, labels=ids).loss
        first = loss.item() if first is None else first
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        if method == "adalora":
            model.base_model.update_and_allocate(step + 1)
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - started)
    count = sum(p.numel() for p in trainable)
    middle = statistics.median(seconds[1:])
    print(
        f"seconds={middle:.4f} peak_kib={peak_kib()} trainable={count} loss={first:.4f} floor=0"
    )


if __name__ == "__main__":
    main()
