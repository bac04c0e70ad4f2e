"""Tiny random Llamas and PEFT adapters with what transformers and PEFT compute for them. Run: python make_goldens.py"""

import json
import shutil
from pathlib import Path

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).parent
SEQ, VOCAB = 24, 96


def base_config(**changes):
    fields = dict(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False, attn_implementation="eager",
    )
    return LlamaConfig(**{**fields, **changes})


LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)
MODELS = {
    "gqa": {}, "tied": dict(tie_word_embeddings=True), "biased": dict(attention_bias=True, mlp_bias=True),
    "head_dim": dict(head_dim=12), "llama3_rope": dict(rope_parameters=LLAMA3),
}


def rand_(model, std=0.25):
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn_like(p) * 0.1 + 1 if "norm" in name else torch.randn_like(p) * std)


def ids():
    return torch.randint(0, VOCAB, (2, SEQ), generator=torch.Generator().manual_seed(7))


def make_model(name, changes):
    torch.manual_seed(len(name))
    model = LlamaForCausalLM(base_config(**changes)).eval()
    rand_(model)
    dir = HERE / "models" / name
    shutil.rmtree(dir, ignore_errors=True)
    model.save_pretrained(dir)
    (dir / "generation_config.json").unlink(missing_ok=True)
    if name == "llama3_rope":
        config = json.loads((dir / "config.json").read_text())
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope.pop("rope_theta")
        config["rope_scaling"] = rope
        (dir / "config.old.json").write_text(json.dumps(config, indent=2))
    x = ids()
    mask = torch.ones_like(x)
    mask[1, -5:] = 0
    with torch.no_grad():
        out = {
            "input_ids": x, "logits": model(x).logits, "padded_attention_mask": mask,
            "padded_logits": model(x, attention_mask=mask).logits,
        }
        prompt, new = x[:1, :6], []
        for _ in range(8):
            token = model(prompt).logits[0, -1].argmax()
            new.append(token)
            prompt = torch.cat([prompt, token.view(1, 1)], 1)
        out["generated"] = torch.stack(new)
    save_file({k: v.contiguous() for k, v in out.items()}, dir / "expected.safetensors")


L = peft.LoraConfig
QV = ["q_proj", "v_proj"]
IA3 = dict(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"])
ADAPTERS = {
    "lora_attn": ("gqa", L(r=4, lora_alpha=10, target_modules=QV)),
    "lora_all_linear": ("biased", L(r=3, lora_alpha=8, target_modules="all-linear")),
    "lora_rslora": ("gqa", L(r=4, lora_alpha=6, use_rslora=True, target_modules=QV)),
    "lora_patterns": ("gqa", L(r=4, lora_alpha=6, target_modules=["q_proj", "down_proj"],
                               rank_pattern={"model.layers.0.self_attn.q_proj": 2, "down_proj": 5},
                               alpha_pattern={"down_proj": 9})),
    "lora_embedding": ("gqa", L(r=4, lora_alpha=6, target_modules=["embed_tokens", "q_proj"])),
    "lora_embedding_tied": ("tied", L(r=4, lora_alpha=6, target_modules=["embed_tokens", "q_proj"])),
    "lora_layers": ("gqa", L(r=4, lora_alpha=6, target_modules=QV, layers_to_transform=[1])),
    "lora_modules_to_save": ("gqa", L(r=4, lora_alpha=6, target_modules=QV, modules_to_save=["lm_head"])),
    "lora_bias_all": ("biased", L(r=4, lora_alpha=6, target_modules=QV, bias="all")),
    "lora_bias_only": ("biased", L(r=4, lora_alpha=6, target_modules=QV, bias="lora_only")),
    "lora_regex": ("gqa", L(r=4, lora_alpha=6, target_modules=r".*\.1\.(self_attn|mlp)\.(k|up)_proj")),
    "lora_exclude": ("gqa", L(r=4, lora_alpha=6, target_modules=QV, exclude_modules=r".*\.0\..*q_proj")),
    "ia3_default": ("gqa", peft.IA3Config(**IA3)),
    "ia3_biased": ("biased", peft.IA3Config(**IA3)),
}


def make_adapter(name, base, config):
    torch.manual_seed(len(name) + 100)
    config.task_type = "CAUSAL_LM"
    config.base_model_name_or_path = base
    load = lambda: LlamaForCausalLM.from_pretrained(HERE / "models" / base, attn_implementation="eager")
    model = peft.get_peft_model(load(), config)
    with torch.no_grad():
        for p in (p for p in model.parameters() if p.requires_grad):
            p.add_(torch.randn_like(p) * 0.2)
    dir = HERE / "adapters" / name
    shutil.rmtree(dir, ignore_errors=True)
    model.save_pretrained(dir)
    (dir / "README.md").unlink(missing_ok=True)
    (dir / "base.txt").write_text(base + "\n")
    saved = json.loads((dir / "adapter_config.json").read_text()) | {"base_model_name_or_path": base}
    (dir / "adapter_config.json").write_text(json.dumps(saved, indent=2, sort_keys=True))
    x = ids()
    labels = x.clone()
    labels[0, :7] = -100
    labels[1, :11] = -100
    model = peft.PeftModel.from_pretrained(load(), dir, is_trainable=True).eval()
    out = model(x)
    assert not torch.allclose(out.logits, load()(x).logits)
    loss = torch.nn.functional.cross_entropy(
        out.logits[:, :-1].reshape(-1, VOCAB), labels[:, 1:].reshape(-1), ignore_index=-100)
    loss.backward()
    file = load_file(dir / "adapter_model.safetensors")
    key = lambda n: n.replace(".default", "").replace(".modules_to_save", "")
    trained = {key(n): p for n, p in model.named_parameters() if p.requires_grad}
    trained = {n: p for n, p in trained.items() if n in file}
    expected = {"input_ids": x, "labels": labels, "logits": out.logits, "loss": loss.reshape(1)}
    expected |= {f"grad.{n}": p.grad.clone() for n, p in trained.items()}
    torch.optim.AdamW(trained.values(), lr=1e-2, weight_decay=0.01).step()
    expected |= {f"step.{n}": p for n, p in trained.items()}
    save_file({k: v.detach().contiguous() for k, v in expected.items()}, dir / "expected.safetensors")
    print(name, len(trained), "trained tensors, loss", loss.item())


for name, changes in MODELS.items():
    make_model(name, changes)
for name, (base, config) in ADAPTERS.items():
    make_adapter(name, base, config)
