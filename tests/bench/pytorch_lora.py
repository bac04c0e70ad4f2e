"""The step of tests/examples/bench_lora.rs in PyTorch and PEFT: prints `seconds=S peak_kib=N trainable=N loss=X`.

Made with torch 2.15.0 (CPU), transformers 5.23.0, peft 0.21.2.
"""

import os
import statistics
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

BATCH, POSITIONS, VOCABULARY = 4, 128, 8000
WARM_UPS, STEPS = 2, 12
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def tokens(offset):
    ids = [((i + offset) * 7919 + 13) % VOCABULARY for i in range(BATCH * POSITIONS)]
    return torch.tensor(ids).reshape(BATCH, POSITIONS)


def peak_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def main():
    torch.manual_seed(1)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=POSITIONS,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        use_cache=False,
    )
    model = get_peft_model(
        LlamaForCausalLM(config).float(),
        LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=PROJECTIONS),
    )
    model.train()
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-4, eps=1e-5, weight_decay=1e-4)
    ids, labels = tokens(0), tokens(1)
    seconds = []
    for step in range(WARM_UPS + STEPS):
        started = time.perf_counter()
        logits = model(input_ids=ids).logits
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, VOCABULARY), labels.reshape(-1))
        value = loss.item()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step >= WARM_UPS:
            seconds.append(time.perf_counter() - started)
    count = sum(p.numel() for p in trainable)
    print(f"seconds={statistics.median(seconds):.4f} peak_kib={peak_kib()} trainable={count} loss={value:.4f}")


if __name__ == "__main__":
    main()
