"""Prefix tuning by PEFT on those models, with its gradients: `prefixes/NAME`."""

import peft
import torch
from safetensors.torch import load_file

import decoders
import encoders
from common import fresh, ids, padded, read_json, save, write_json

ENCODER = "../encoders/"
# name: (base, virtual tokens, width inside the projection)
PREFIXES = {
    # Grouped queries.
    "llama": ("gqa", 5, None),
    "llama_projected": ("gqa", 5, 7),
    # Learned positions.
    "gpt2": ("gpt2", 5, None),
    "gpt2_projected": ("gpt2", 5, 9),
    # A window, and a prefix longer than it.
    "mistral": ("mistral", 5, None),
    "mistral_projected": ("mistral", 5, 7),
    "mistral_long": ("mistral", 9, None),
    # Heads not as wide as `d_model / n_heads`.
    "qwen3": ("qwen3", 4, None),
    "qwen3_projected": ("qwen3", 4, 7),
    # Windows on some layers; PEFT's cache drops what is out of them.
    "gemma2": ("gemma2", 5, None),
    "gemma2_projected": ("gemma2", 5, 7),
    "gemma3_long": ("gemma3", 9, None),
    # Rotations that depend on the length.
    "llama_dynamic": ("llama_dynamic", 5, None),
    "phi3_longrope": ("phi3_longrope", 5, None),
    "bert_sequence": (ENCODER + "bert_sequence", 5, None),
    "bert_sequence_projected": (ENCODER + "bert_sequence", 5, 7),
    "roberta_sequence": (ENCODER + "roberta_sequence", 5, None),
    "roberta_sequence_projected": (ENCODER + "roberta_sequence", 5, 7),
    "bert_token": (ENCODER + "bert_token", 5, None),
}


def load(base):
    return encoders.load(base.removeprefix(ENCODER)) if base.startswith(ENCODER) else decoders.load(base)


def answer(model, base):
    """Inputs of a padded batch, outputs and the model's own loss."""
    encoder = base.startswith(ENCODER)
    x = ids(low=3) if encoder else ids(model.config.vocab_size, low=0 if base in decoders.FIRST else 1)
    mask = padded(x)
    given = dict(input_ids=torch.where(mask == 1, x, model.config.pad_token_id) if encoder else x, attention_mask=mask)
    if encoder:
        labels = encoders.labels(base.removeprefix(ENCODER))
    else:
        labels = x.masked_fill(mask == 0, -100)
        labels[0, :7] = -100
        labels[1, :3] = -100
    out = model(**given, labels=labels)
    return given | {"labels": labels, "logits": out.logits}, out.loss


def make_prefix(name):
    base, n, hidden = PREFIXES[name]
    task = "TOKEN_CLS" if base.endswith("_token") else "SEQ_CLS" if base.startswith(ENCODER) else "CAUSAL_LM"
    torch.manual_seed(len(name) + 200)
    config = peft.PrefixTuningConfig(
        task_type=task, num_virtual_tokens=n, prefix_projection=hidden is not None, encoder_hidden_size=hidden)
    config.base_model_name_or_path = base
    model = peft.get_peft_model(load(base), config).eval()
    trained = {key: p for key, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for key, p in trained.items():
            if "prompt_encoder" in key:
                p.copy_(torch.randn_like(p) * (0.9 if key.endswith("weight") else 0.3))
            else:
                p.add_(torch.randn_like(p) * 0.2)
    dir = fresh("prefixes", name)
    model.save_pretrained(dir)
    (dir / "README.md").unlink(missing_ok=True)
    (dir / "base.txt").write_text(base + "\n")
    write_json(read_json(dir / "adapter_config.json") | {"base_model_name_or_path": base}, dir / "adapter_config.json")
    out, loss = answer(model, base)
    loss.backward()
    # What PEFT reads of its own file gives the same: the projection is no longer there, its result is.
    read, _ = answer(peft.PeftModel.from_pretrained(load(base), dir).eval(), base)
    assert torch.allclose(read["logits"], out["logits"], atol=1e-5)
    plain, _ = answer(load(base), base)
    apart = (plain["logits"] - out["logits"]).abs().max()
    assert apart > 0.1, apart
    short = {key: key.replace("prompt_encoder.default.", "prefix.").replace(".modules_to_save.default", "") for key in trained}
    expected = out | {"loss": loss.reshape(1)}
    for key, p in trained.items():
        expected |= {f"param.{short[key]}": p, f"grad.{short[key]}": p.grad}
    save(expected, dir / "expected.safetensors")
    file = {key: tuple(t.shape) for key, t in load_file(dir / "adapter_model.safetensors").items()}
    print("prefix", name, sum(f.stat().st_size for f in dir.iterdir()), file, f"{apart:.2f} apart, loss {loss.item():.4f}")
