"""Which modules PEFT adapts for expressions over paths, lists of layers and names before their index: `matching.json`. Run: python make_matching.py"""

import json
import warnings

import peft
import torch
from peft.tuners.tuners_utils import check_target_module_exists
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from common import HERE

MODELS = {
    "llama": LlamaForCausalLM(LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True)),
    "gpt2": GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=16, n_layer=3, n_head=2, n_positions=16)),
}
EXPRESSIONS = [
    r".*\.q_proj", r"q_proj", r".*[qv]_proj", r".*\.(?:q|v|down){1,2}_proj", r"model\.layers\.[02]\.(self_attn|mlp)\.\w+_proj",
    r"(?!.*mlp).*_proj", r".*(?<!1\.self_attn)\.q_proj", r".*\.2\..*up_proj\Z", r".*embed_tokens|.*\.0\.mlp\.gate_proj",
]
LISTS = [
    ("llama", dict(target_modules=["q_proj", "v_proj"], layers_to_transform=1)),
    ("llama", dict(target_modules=["q_proj", "v_proj"], layers_to_transform=[0, 2])),
    ("llama", dict(target_modules=["q_proj", "v_proj"], layers_to_transform=[0, 2, 77])),
    ("llama", dict(target_modules=["q_proj", "embed_tokens"], layers_to_transform=[2])),
    ("llama", dict(target_modules=["up_proj"], layers_to_transform=[1], layers_pattern="layers")),
    ("llama", dict(target_modules=["up_proj"], layers_to_transform=[1, 2], layers_pattern=["h", "layers"])),
    ("llama", dict(target_modules=["up_proj"], layers_to_transform=[1, 2], layers_pattern=["model.layers", "h"])),
    ("llama", dict(target_modules=["up_proj"], layers_to_transform=[0], layers_pattern=r"lay\w+")),
    ("llama", dict(target_modules=["up_proj"], layers_to_transform=[0], layers_pattern=[r"(?:h|layers)"])),
    ("llama", dict(target_modules=["up_proj"], layers_to_transform=[0], layers_pattern=[r"(?<!text)model\.lay.rs", "x"])),
    # A bare alternative cuts PEFT's expression in two, of which the first has no index.
    ("llama", dict(target_modules=["up_proj"], layers_to_transform=[0], layers_pattern=["model|layers"])),
    ("llama", dict(target_modules=["up_proj"], layers_to_transform=[0], layers_pattern=["nothing"])),
    ("llama", dict(target_modules=["up_proj"], layers_to_transform=[0], layers_pattern=[])),
    ("llama", dict(target_modules=["up_proj"], layers_to_transform=[], layers_pattern=["nothing"])),
    ("gpt2", dict(target_modules=["c_fc", "attn.c_proj"], layers_to_transform=[2], layers_pattern="h")),
    ("gpt2", dict(target_modules=["c_fc"], layers_to_transform=[0, 1], layers_pattern=[r"transformer\.[a-z]"])),
    ("gpt2", dict(target_modules=["c_fc"], layers_to_transform=[0, 1], layers_pattern=["layers", r"\w"])),
]
PATHS = [
    "model.layers.11.mlp.experts.3.up", "layers.0.experts.3.up", "layers.7.q", "model.layers.2.mlp.0.up", "a.b.c.4.5.q", "blocks.1.h.2.q",
]
PATTERNS = [
    ["layers"], ["experts", "layers"], ["model.layers"], [r"(?:experts|layers)"], [r"lay\w+"], [r"\w+"], [r".*"], [r"(l)ayers"], ["a|b|layers"], [r"[a-c]", "h"],
]


def matched(model, config):
    adapted = peft.get_peft_model(model, config)
    names = [name.removeprefix("base_model.model.") for name, module in adapted.named_modules() if isinstance(module, peft.tuners.lora.LoraLayer)]
    adapted.unload()
    return sorted(names)


def lora(**fields):
    return peft.LoraConfig(r=1, **fields)


def index(patterns, path):
    """The index that PEFT gives a path: that of the layers, of all up to 20, which choose it."""
    chosen = [i for i in range(20) if check_target_module_exists(
        lora(target_modules=[path.rsplit(".", 1)[1]], layers_to_transform=[i], layers_pattern=patterns), path)]
    assert len(chosen) < 2
    return chosen[0] if chosen else None


def main():
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    lists = []
    for name, fields in LISTS:
        try:
            names = matched(MODELS[name], lora(**fields))
        except ValueError as error:
            assert "not found" in str(error) or "No modules" in str(error), error
            names = []
        lists.append(dict(model=name, fields=fields, matched=names))
    found = dict(
        configs={name: {k: v for k, v in model.config.to_diff_dict().items() if k != "transformers_version"} | dict(architectures=[type(model).__name__])
                 for name, model in MODELS.items()},
        expressions={source: matched(MODELS["llama"], lora(target_modules=source)) if source != "q_proj" else [] for source in EXPRESSIONS},
        lists=lists, indices=[dict(patterns=patterns, path=path, index=index(patterns, path)) for patterns in PATTERNS for path in PATHS])
    (HERE / "matching.json").write_text(json.dumps(found, indent=1) + "\n")
    print({k: len(v) for k, v in found.items()})
    for case in lists:
        print(case)


if __name__ == "__main__":
    main()
