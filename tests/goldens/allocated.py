"""AdaLoRA's budget over a run: `allocated/adalora`, with what it begins with, what is left of it, and its ranks after each step."""

import peft
import torch

import decoders
from common import fresh, ids, read_json, save, write_json

TOTAL = 9


def make_allocated(name):
    torch.manual_seed(5)
    config = peft.AdaLoraConfig(init_r=4, target_r=2, lora_alpha=6, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM",
                                tinit=1, tfinal=2, deltaT=2, total_step=TOTAL)
    model = peft.get_peft_model(decoders.load("gqa"), config).eval()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    plain = {n.replace(".default", ""): p for n, p in trained.items()}
    expected = {f"start.{n}": p.detach().clone() for n, p in plain.items()}
    x = ids(model.config.vocab_size, low=1)
    labels = x.clone()
    labels[0, :7] = -100
    labels[1, :11] = -100
    expected |= {"input_ids": x, "labels": labels}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-2, weight_decay=0.0)
    for step in range(1, TOTAL + 1):
        optimizer.zero_grad()
        model(input_ids=x, labels=labels).loss.backward()
        optimizer.step()
        model.base_model.update_and_allocate(step)
        expected |= {f"step{step}.{n}": p.detach().clone() for n, p in plain.items() if "lora_E" in n}
    expected |= {f"end.{n}": p.detach().clone() for n, p in plain.items()}
    dir = fresh("allocated", name)
    model.peft_config["default"].base_model_name_or_path = "gqa"
    model.save_pretrained(dir)
    (dir / "README.md").unlink(missing_ok=True)
    saved = read_json(dir / "adapter_config.json")
    saved["target_modules"] = sorted(saved["target_modules"])
    write_json(saved, dir / "adapter_config.json")
    save(expected, dir / "expected.safetensors")
    print("allocated", name, {n: sum(r) for n, r in saved["rank_pattern"].items()})


ALLOCATED = {"adalora": make_allocated}
