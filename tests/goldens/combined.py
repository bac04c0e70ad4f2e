"""What PEFT's `add_weighted_adapter` makes of adapters of this folder: `combined/NAME`.

What DARE keeps is drawn as this project draws it.
"""

import peft
import torch
from peft.tuners.lora import LoraModel
from peft.utils import merge_utils

import decoders
from adapters import answer
from common import HERE, fresh, read_json, save, write_json

THREE = [("lora_attn", 0.7), ("lora_rslora", -0.4), ("lora_embedding", 1.1)]
TWO = [("lora_attn", 0.7), ("lora_rslora", -0.4)]
GPT2 = [("gpt2_lora_attn", 0.6), ("gpt2_lora_all_linear", 0.9)]
COMBINED = {
    "cat": ("gqa", THREE, dict()),
    "svd": ("gqa", THREE, dict(svd_rank=3)),
    "linear": ("gqa", THREE, dict()),
    "magnitude_prune": ("gqa", THREE, dict(density=0.4)),
    "ties": ("gqa", THREE, dict(density=0.4)),
    "ties_frequency": ("gqa", THREE, dict(density=0.6, majority_sign_method="frequency")),
    "dare_linear": ("gqa", TWO, dict(density=0.6)),
    "dare_ties": ("gqa", TWO, dict(density=0.6)),
    "magnitude_prune_svd": ("gqa", THREE, dict(density=0.4)),
    "ties_svd": ("gqa", THREE, dict(density=0.4)),
    "dare_linear_svd": ("gqa", TWO, dict(density=0.6)),
    "dare_ties_svd": ("gqa", TWO, dict(density=0.6)),
    # Ranks differ, and so do the layers.
    "gpt2_cat": ("gpt2", GPT2, dict()),
    "gpt2_svd": ("gpt2", GPT2, dict()),
}
SEED, ALL = 5, (1 << 64) - 1


def kept(shape, density, text):
    """1 where a value is kept, row by row: splitmix64 from the FNV-1a hash of a text."""
    state = 0xCBF29CE484222325
    for byte in text.encode():
        state = (state ^ byte) * 0x100000001B3 & ALL
    mask = torch.zeros(shape)
    for i in range(mask.numel()):
        state = state + 0x9E3779B97F4A7C15 & ALL
        z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & ALL
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & ALL
        mask.view(-1)[i] = float(((z ^ (z >> 31)) >> 11) / 2**53 < density)
    return mask


def drawn(model, n):
    """Let PEFT draw so, in the order in which it asks: `n` adapters are on each layer."""
    paths = {id(module): path for path, module in model.model.named_modules()}
    asked = []

    def told(method, whats):
        def wrapped(self, combination_type, adapters, weights, *rest, **others):
            target = next(value for value in rest if hasattr(value, "lora_A"))
            asked.extend((paths[id(target)], place, what) for what in whats for place in range(n))
            return method(self, combination_type, adapters, weights, *rest, **others)
        return wrapped

    def pruned(tensor, density, rescale):
        path, place, what = asked.pop(0)
        rows = tensor.T  # a layer's inputs by its outputs
        return (rows * kept(rows.shape, density, f"{SEED}/{path}/{place}/{what}") / density).T

    names = {"_generalized_task_arithmetic_weighted_adapter": "AB", "_svd_generalized_task_arithmetic_weighted_adapter": ["delta"]}
    before = {name: getattr(LoraModel, name) for name in names}
    for name, whats in names.items():
        setattr(LoraModel, name, told(before[name], whats))
    return before, merge_utils.random_pruning, pruned


def make_combined(name):
    base, parts, options = COMBINED[name]
    how = name.removeprefix("gpt2_").removesuffix("_frequency")
    model = None
    for adapter, _ in parts:
        dir = HERE / "adapters" / adapter
        if model is None:
            model = peft.PeftModel.from_pretrained(decoders.load(base), dir, adapter_name=adapter).eval()
        else:
            model.load_adapter(dir, adapter)
    before, random_pruning, pruned = drawn(model.base_model, len(parts))
    merge_utils.random_pruning = pruned
    model.add_weighted_adapter([adapter for adapter, _ in parts], [weight for _, weight in parts], "all", how, **options)
    merge_utils.random_pruning = random_pruning
    for method, function in before.items():
        setattr(LoraModel, method, function)
    model.set_adapter("all")
    dir = fresh("combined", name)
    write_json({"base": base, "how": how, "seed": SEED, "parts": [list(part) for part in parts], **options}, dir / "asked.json")
    out, loss = answer(model, name, base)
    expected = out | {"loss": loss.reshape(1)}
    for path, module in model.named_modules():
        if hasattr(module, "get_delta_weight") and "all" in {*module.lora_A, *module.lora_embedding_A}:
            delta = module.get_delta_weight("all")
            straight = "all" in module.lora_embedding_A or module.fan_in_fan_out
            if ".1." not in path and ".mlp." not in path:
                expected["delta." + path.removeprefix("base_model.model.")] = delta if straight else delta.T
    save(expected, dir / "expected.safetensors")
    print("combined", name, f"loss {loss.item():.4f}", read_json(dir / "asked.json")["how"])
