"""PEFT's LN tuning on those models: `ln_tuning/NAME`, and whether PEFT gives the same for a directory written here.

`python ln_tuning.py` makes the goldens; `python ln_tuning.py NAME DIR` loads DIR in PEFT on NAME's base and compares it with the golden's outputs.
"""

import sys
from pathlib import Path

import peft
import torch
from safetensors.torch import load_file

import adapters
from adapters import ENCODER
from common import fresh, read_json, save, write_json

LN = {
    "llama": ("gqa", peft.LNTuningConfig(task_type="CAUSAL_LM")),
    "gpt2": ("gpt2", peft.LNTuningConfig(task_type="CAUSAL_LM", target_modules=["ln_1", "ln_2", "ln_f"])),
    "bert": (ENCODER + "bert_sequence", peft.LNTuningConfig(task_type="SEQ_CLS", target_modules=["LayerNorm"])),
}


def make(name):
    base, config = LN[name]
    torch.manual_seed(len(name) + 200)
    model = peft.get_peft_model(adapters.load(name, base), config)
    with torch.no_grad():
        for p in (p for p in model.parameters() if p.requires_grad):
            p.add_(torch.randn_like(p) * 0.2)
    dir = fresh("ln_tuning", name)
    model.save_pretrained(dir)
    (dir / "README.md").unlink(missing_ok=True)
    (dir / "base.txt").write_text(base + "\n")
    saved = read_json(dir / "adapter_config.json") | {"base_model_name_or_path": base}
    for field in ("target_modules", "modules_to_save"):
        saved[field] = sorted(saved[field]) if saved.get(field) else saved.get(field)
    write_json(saved, dir / "adapter_config.json")
    out, loss, plain = outputs(name, dir)
    assert not torch.allclose(out["logits"], plain)
    save(out | {"loss": loss.reshape(1)}, dir / "expected.safetensors")
    print("ln tuning", name, sum(f.stat().st_size for f in dir.iterdir()), f"loss {loss.item():.4f}")


def outputs(name, dir):
    base, _ = LN[name]
    plain, _ = adapters.answer(adapters.load(name, base).eval(), name, base)
    model = peft.PeftModel.from_pretrained(adapters.load(name, base), dir).eval()
    out, loss = adapters.answer(model, name, base)
    return out, loss, plain["logits"]


def check(name, dir):
    out, loss, _ = outputs(name, dir)
    golden = load_file(Path(__file__).parent / "ln_tuning" / name / "expected.safetensors")
    torch.testing.assert_close(out["logits"], golden["logits"], rtol=0, atol=0)
    torch.testing.assert_close(loss.reshape(1), golden["loss"], rtol=0, atol=0)
    print("PEFT gives the same for", dir, f"loss {loss.item():.6f}")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        check(*sys.argv[1:])
    else:
        for name in LN:
            make(name)
