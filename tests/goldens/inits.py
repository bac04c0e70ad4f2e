"""LoRA that begins with parts of the weight, what one step makes of it, and PEFT's conversion to plain
LoRA: `inits/NAME`. And `eva/NAME`, `loftq/NAME`.
"""

import inspect
import tempfile
from unittest import mock

import peft
import torch
from peft.tuners.lora.config import CordaConfig, LoraGAConfig
from peft.tuners.lora.corda import preprocess_corda
from peft.tuners.lora.loraga import preprocess_loraga

import decoders
from adapters import QV, answer
from common import fresh, read_json, save, write_json

L = peft.LoraConfig
INITS = {
    "pissa": ("gqa", L(r=4, lora_alpha=10, target_modules=QV, init_lora_weights="pissa")),
    "pissa_gpt2": ("gpt2", L(r=3, lora_alpha=8, target_modules=["c_attn"], init_lora_weights="pissa", fan_in_fan_out=True)),
    "lora_ga": ("biased", L(r=4, lora_alpha=6, target_modules=["q_proj", "up_proj", "down_proj"], init_lora_weights="lora_ga",
                            lora_ga_config=LoraGAConfig())),
    "corda_ipm": ("biased", L(r=4, lora_alpha=6, target_modules=["q_proj", "up_proj", "down_proj"], init_lora_weights="corda",
                              corda_config=CordaConfig(corda_method="ipm"))),
    "corda_kpm": ("gqa", L(r=3, lora_alpha=6, use_rslora=True, target_modules=["v_proj", "o_proj"], init_lora_weights="corda",
                           corda_config=CordaConfig(corda_method="kpm"))),
    "olora": ("biased", L(r=4, lora_alpha=6, target_modules=["q_proj", "up_proj", "down_proj"], init_lora_weights="olora")),
}


def signed(svd):
    """A decomposition whose directions have signs: the largest element of each in V is positive. LoRA-GA takes A and
    B from different ones, so that their signs are not the same function."""
    def decompose(*args, **kwargs):
        u, s, v = svd(*args, **kwargs)
        signs = v.gather(0, v.abs().argmax(0, keepdim=True)).sign()
        return u * signs, s, v * signs
    return decompose


def prepare(model, config, name, base):
    """What LoRA-GA and CorDA look at before: gradients of the batch, and each of its texts."""
    if config.init_lora_weights == "lora_ga":
        preprocess_loraga(model, config, lambda: answer(model, name, base)[1].backward())
    elif config.init_lora_weights == "corda":
        with torch.no_grad():
            ids = answer(model, name, base)[0]["input_ids"]
        preprocess_corda(model, config, lambda: [model(row[None]) for row in ids])


def make_init(name):
    base, config = INITS[name]
    torch.manual_seed(len(name))
    config.task_type = "CAUSAL_LM"
    config.base_model_name_or_path = base
    model = decoders.load(base)
    prepare(model, config, name, base)
    with mock.patch("torch.svd_lowrank", signed(torch.svd_lowrank)):
        model = peft.get_peft_model(model, config).eval()
    trained = {n.replace(".default", ""): p for n, p in model.named_parameters() if p.requires_grad}
    out, loss = answer(model, name, base)
    loss.backward()
    expected = out | {"loss": loss.reshape(1)}
    expected |= {f"init.{n}": p.detach().clone() for n, p in trained.items()}
    expected |= {f"grad.{n}": p.grad.clone() for n, p in trained.items()}
    dir = fresh("inits", name)
    with tempfile.TemporaryDirectory() as initial:
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(initial)
        torch.optim.AdamW(trained.values(), lr=1e-2, weight_decay=0.01).step()
        expected |= {f"step.{n}": p.detach().clone() for n, p in trained.items()}
        expected["logits_after"] = answer(model, name, base)[0]["logits"]
        model.peft_config["default"].init_lora_weights = config.init_lora_weights
        model.save_pretrained(dir, path_initial_model_for_weight_conversion=initial)
    (dir / "README.md").unlink(missing_ok=True)
    (dir / "base.txt").write_text(base + "\n")
    saved = read_json(dir / "adapter_config.json") | {"base_model_name_or_path": base}
    saved["target_modules"] = sorted(set(saved["target_modules"]))
    write_json(saved, dir / "adapter_config.json")
    again = peft.PeftModel.from_pretrained(decoders.load(base), dir).eval()
    assert torch.allclose(answer(again, name, base)[0]["logits"], expected["logits_after"], atol=1e-4)
    save(expected, dir / "expected.safetensors")
    print("init", name, saved["r"], saved["lora_alpha"], f"loss {loss.item():.4f}")


# No two of these layers read one input: how PEFT shares ranks among such is a matter of a sort that
# is not stable.
EVAS = {
    "eva": ("gqa", L(r=4, lora_alpha=6, target_modules=["q_proj", "o_proj", "down_proj"], init_lora_weights="eva",
                     eva_config=peft.tuners.lora.EvaConfig(rho=2.0))),
    "eva_rslora": ("biased", L(r=3, lora_alpha=6, use_rslora=True, target_modules=["o_proj", "up_proj"], rank_pattern={"up_proj": 2},
                               init_lora_weights="eva", eva_config=peft.tuners.lora.EvaConfig(rho=3.0))),
}


def make_eva(name):
    """Ranks and directions by the inputs of one batch, at the tokens that have a label."""
    base, config = EVAS[name]
    torch.manual_seed(len(name))
    config.task_type = "CAUSAL_LM"
    config.base_model_name_or_path = base
    model = peft.get_peft_model(decoders.load(base), config).eval()
    with torch.no_grad():
        out, _ = answer(model, name, base)
    batch = {"input_ids": out["input_ids"], "labels": out["labels"], "attention_mask": torch.ones_like(out["input_ids"])}
    peft.initialize_lora_eva_weights(model, [batch], show_progress_bar=False)
    dir = fresh("eva", name)
    model.save_pretrained(dir)
    (dir / "README.md").unlink(missing_ok=True)
    (dir / "base.txt").write_text(base + "\n")
    saved = read_json(dir / "adapter_config.json") | {"base_model_name_or_path": base}
    saved["target_modules"] = sorted(set(saved["target_modules"]))
    write_json(saved, dir / "adapter_config.json")
    save({key: out[key] for key in ("input_ids", "labels")}, dir / "expected.safetensors")
    print("eva", name, saved["rank_pattern"], saved["alpha_pattern"])


LOFTQ = {"nf4_exact": 6, "nf4_leading": 3}


def make_loftq(name):
    """LoftQ's factors of one weight: PEFT's `loftq_init`, one iteration, with bitsandbytes' nf4 on
    the processor in place of cuda.

    PEFT gives the factors the whole of what packing leaves out, and then scales them: alpha is the
    rank here, so that the scale is 1.
    """
    from peft.tuners.lora import layer
    from peft.utils import loftq_utils

    scope = dict(vars(loftq_utils))
    exec(inspect.getsource(loftq_utils.loftq_init).replace('"cuda"', '"cpu"'), scope)
    rank = LOFTQ[name]
    torch.manual_seed(3)
    net = torch.nn.Sequential(torch.nn.Linear(128, 24, bias=False))
    weight = torch.randn(24, 128) * torch.logspace(-1, 0, 24)[:, None]
    net[0].weight.data = weight.clone()
    config = L(r=rank, lora_alpha=rank, target_modules=["0"], init_lora_weights="loftq",
               loftq_config=peft.LoftQConfig(loftq_bits=4, loftq_iter=1))
    with mock.patch.object(layer, "loftq_init", scope["loftq_init"]):
        of = peft.get_peft_model(net, config).base_model.model[0]
    expected = {"weight": weight, "packed": of.get_base_layer().weight, "delta": of.get_delta_weight("default")}
    values = torch.linalg.svdvals(weight - expected["packed"])
    save(expected, fresh("loftq", name) / "expected.safetensors")
    print("loftq", name, "singular values beside the cut", values[rank - 1:rank + 1].tolist())
