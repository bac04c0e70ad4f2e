"""A small model as bitsandbytes holds it, and a LoRA step on it by PEFT: `bnb/`.

`dense` has the weights; `nf4`, `nf4_double` and `int8` are what transformers saves of them
quantised; `lora_NAME` a PEFT adapter with what it computes on each of four bits: logits, loss and
gradients, in f32. Run: python make_bnb_models.py (torch, transformers, peft, bitsandbytes,
accelerate)
"""

import shutil
import warnings

import peft
import torch
import transformers
from safetensors.torch import save_file
from transformers import BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

from common import HERE, ids, read_json, write_json

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
OUT = HERE / "bnb"
FOUR = dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
KINDS = {
    "nf4": BitsAndBytesConfig(**FOUR),
    "nf4_double": BitsAndBytesConfig(**FOUR, bnb_4bit_use_double_quant=True),
    "int8": BitsAndBytesConfig(load_in_8bit=True),
}


def loaded(name, **more):
    return LlamaForCausalLM.from_pretrained(OUT / name, attn_implementation="eager", dtype=torch.float32, **more).eval()


def clean(dir):
    for file in dir.iterdir():
        if file.name not in ("config.json", "model.safetensors", "adapter_config.json", "adapter_model.safetensors", "expected.safetensors"):
            file.unlink()
        else:
            file.chmod(0o644)


def make_dense():
    torch.manual_seed(5)
    # Every inner axis is whole blocks of 64: bitsandbytes on processors is wrong elsewhere.
    config = LlamaConfig(vocab_size=96, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_((p * 6 if p.dim() > 1 else p + torch.randn_like(p) * 0.1).bfloat16().float())
    model.bfloat16().save_pretrained(OUT / "dense")
    clean(OUT / "dense")


def step(model):
    x = ids(96, low=1)
    labels = x.clone()
    labels[0, :7] = -100
    logits = model(x).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, 96), labels[:, 1:].reshape(-1), ignore_index=-100)
    return {"input_ids": x, "labels": labels, "logits": logits}, loss


def make(name):
    config = KINDS[name]
    loaded("dense", quantization_config=config).save_pretrained(OUT / name)
    clean(OUT / name)
    if name == "int8":
        return  # There rows are rounded to eight bits too, which is nobody's weight.
    lora = peft.LoraConfig(r=4, lora_alpha=10, target_modules="all-linear", task_type="CAUSAL_LM")
    base = loaded("dense", quantization_config=config)
    out = {}
    out["base_logits"] = step(base)[0]["logits"]
    torch.manual_seed(9)
    model = peft.get_peft_model(base, lora)
    with torch.no_grad():
        for p in (p for p in model.parameters() if p.requires_grad):
            p.add_(torch.randn_like(p) * 0.1)
    dir = OUT / f"lora_{name}"
    shutil.rmtree(dir, ignore_errors=True)
    model.save_pretrained(dir)
    found, loss = step(model)
    loss.backward()
    out |= found | {"loss": loss.reshape(1)}
    for key, p in model.named_parameters():
        if p.requires_grad:
            out["grad." + key.replace(".default", "")] = p.grad
    save_file({key: value.detach().contiguous() for key, value in out.items()}, dir / "expected.safetensors")
    config = read_json(dir / "adapter_config.json") | {"base_model_name_or_path": "dense"}
    config["target_modules"] = sorted(config["target_modules"])
    write_json(config, dir / "adapter_config.json")
    clean(dir)


if __name__ == "__main__":
    make_dense()
    for name in KINDS:
        make(name)
