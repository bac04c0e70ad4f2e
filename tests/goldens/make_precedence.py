"""What transformers makes of configs and directories that say one thing in two places: `precedence.json`.

Weights are written by a formula of their key and index, so that only keys and shapes are kept here.
"""

import copy
import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, logging

from common import HERE

logging.set_verbosity_error()
logging.disable_progress_bar()
IDS = [[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]]
BASE = dict(vocab_size=16, hidden_size=16, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2)
ROPED = dict(BASE, num_key_value_heads=1, max_position_embeddings=8)
FAMILIES = {
    "llama": dict(ROPED, model_type="llama"),
    "mistral": dict(ROPED, model_type="mistral", sliding_window=5),
    "qwen2": dict(ROPED, model_type="qwen2"),
    "qwen3": dict(ROPED, model_type="qwen3", head_dim=8),
    "phi3": dict(ROPED, model_type="phi3", pad_token_id=0, original_max_position_embeddings=8),
    "gemma2": dict(ROPED, model_type="gemma2", head_dim=8, sliding_window=5, query_pre_attn_scalar=8),
    "gemma3_text": dict(ROPED, model_type="gemma3_text", head_dim=8, sliding_window=5, query_pre_attn_scalar=8, num_hidden_layers=3),
    "gpt2": dict(model_type="gpt2", vocab_size=16, n_embd=16, n_layer=2, n_head=2, n_positions=16, n_inner=12),
    "bert": dict(BASE, model_type="bert", max_position_embeddings=16),
    "distilbert": dict(model_type="distilbert", vocab_size=16, dim=16, hidden_dim=12, n_layers=2, n_heads=2, max_position_embeddings=16),
    "modernbert": dict(BASE, model_type="modernbert", num_hidden_layers=4, max_position_embeddings=16, local_attention=6, pad_token_id=0,
                       eos_token_id=1, bos_token_id=1, cls_token_id=1, sep_token_id=1),
}
ENCODERS = ["bert", "distilbert", "modernbert"]
LINEAR = dict(rope_type="linear", factor=4.0)
YARN = dict(rope_type="yarn", factor=4.0, beta_fast=0.6, beta_slow=0.1, truncate=False, original_max_position_embeddings=4)
S, F = "sliding_attention", "full_attention"
GONE = "(left out)"
HALF = [1.0, 1.5, 2.0, 3.0]
CASES = {
    # Rotary settings by their old and new names, at odds.
    "llama": {
        "rope_theta": dict(rope_theta=100.0),
        "rope_theta_null": dict(rope_theta=None),
        "parameters_theta_over_top": dict(rope_theta=100.0, rope_parameters=dict(rope_type="default", rope_theta=50.0)),
        "parameters_without_theta": dict(rope_theta=100.0, rope_parameters=dict(rope_type="default")),
        "parameters_empty": dict(rope_theta=100.0, rope_parameters={}),
        "parameters_null": dict(rope_theta=100.0, rope_parameters=None),
        "scaling_over_parameters": dict(rope_scaling=LINEAR, rope_parameters=dict(rope_type="default", rope_theta=50.0)),
        "scaling_and_parameters_and_top": dict(rope_scaling=LINEAR, rope_theta=100.0, rope_parameters=dict(rope_type="default", rope_theta=50.0)),
        "scaling_with_theta": dict(rope_scaling=dict(LINEAR, rope_theta=50.0), rope_theta=100.0),
        "scaling_empty": dict(rope_scaling={}, rope_parameters=dict(LINEAR, rope_theta=50.0)),
        "scaling_null": dict(rope_scaling=None, rope_parameters=dict(LINEAR, rope_theta=50.0)),
        "scaling_by_type": dict(rope_scaling=dict(type="linear", factor=4.0)),
        "scaling_type_and_rope_type": dict(rope_scaling=dict(type="dynamic", rope_type="linear", factor=4.0)),
        "scaling_rope_type_null": dict(rope_scaling=dict(type="linear", rope_type=None, factor=4.0)),
        "scaling_without_type": dict(rope_scaling=dict(factor=4.0)),
        "scaling_factor_string": dict(rope_scaling=dict(rope_type="linear", factor="4")),
        "scaling_not_an_object": dict(rope_scaling=4.0),
        "yarn_original_inside": dict(rope_scaling=YARN),
        "yarn_original_outside": dict(rope_scaling={k: v for k, v in YARN.items() if k != "original_max_position_embeddings"}, original_max_position_embeddings=4),
        "yarn_original_both": dict(rope_scaling=YARN, original_max_position_embeddings=6),
        "yarn_original_nowhere": dict(rope_scaling={k: v for k, v in YARN.items() if k != "original_max_position_embeddings"}),
        "llama3_original_both": dict(rope_theta=10.0, rope_scaling=dict(rope_type="llama3", factor=4.0, low_freq_factor=0.5, high_freq_factor=4.0,
                                                       original_max_position_embeddings=4), original_max_position_embeddings=6),
        "llama3_original_inside": dict(rope_theta=10.0, rope_scaling=dict(rope_type="llama3", factor=4.0, low_freq_factor=0.5,
                                                       high_freq_factor=4.0, original_max_position_embeddings=4)),
        "partial_rotary_top": dict(partial_rotary_factor=0.5),
        "dynamic": dict(rope_scaling=dict(rope_type="dynamic", factor=4.0)),
        # Sizes.
        "head_dim_absent": {},
        "head_dim_null": dict(head_dim=None),
        "head_dim_disagrees": dict(head_dim=4),
        "kv_heads_null": dict(num_key_value_heads=None),
        "kv_heads_absent": dict(num_key_value_heads=GONE),
        "max_positions_absent": dict(max_position_embeddings=GONE),
        "epsilon_absent_and_other_name": dict(layer_norm_eps=0.5),
        "epsilon_null": dict(rms_norm_eps=None),
        "activation_null": dict(hidden_act=None),
        "activation_two_names": dict(hidden_act="relu", hidden_activation="gelu"),
        "bias_null": dict(attention_bias=None),
        "tie_null": dict(tie_word_embeddings=None),
        "tied": dict(tie_word_embeddings=True),
        "n_embd_is_no_alias": dict(n_embd=8, n_layer=1, n_head=4),
        # Layers' kinds where the family has none.
        "window_unused": dict(sliding_window=3),
        "layer_types_unused": dict(layer_types=[S, F], sliding_window=3),
        "layer_types_of_another_count": dict(layer_types=[F]),
        "layer_types_null": dict(layer_types=None),
        "text_config_beside": dict(text_config=dict(hidden_size=8)),
        "architectures_of_another": dict(architectures=["MistralForCausalLM"]),
        "architectures_classifier": dict(architectures=["LlamaForSequenceClassification"]),
        "architectures_unknown": dict(architectures=["MyOwnLlama"]),
        "architectures_string": dict(architectures="LlamaForCausalLM"),
    },
    "mistral": {
        "window": {}, "window_null": dict(sliding_window=None), "window_absent": dict(sliding_window=GONE),
        "layer_types_full": dict(layer_types=[F, F], head_dim=8), "layer_types_mixed": dict(layer_types=[S, F], head_dim=8),
        "layer_types_without_head_dim": dict(layer_types=[S, F]),
        "head_dim_null": dict(head_dim=None), "kv_heads_null": dict(num_key_value_heads=None), "use_sliding_window_off": dict(use_sliding_window=False),
    },
    "qwen2": {
        "window_not_used": dict(sliding_window=5, max_window_layers=0),
        "window_used": dict(use_sliding_window=True, sliding_window=5, max_window_layers=1),
        "window_used_null": dict(use_sliding_window=True, sliding_window=None, max_window_layers=0),
        "window_used_default_layers": dict(use_sliding_window=True, sliding_window=5),
        "window_used_default_window": dict(use_sliding_window=True, max_window_layers=0),
        "layer_types_over_layers": dict(use_sliding_window=True, sliding_window=5, max_window_layers=2, layer_types=[S, F]),
        "layer_types_without_use": dict(use_sliding_window=False, sliding_window=5, layer_types=[S, F]),
        "layer_types_full_not_used": dict(use_sliding_window=False, sliding_window=5, max_window_layers=0, layer_types=[F, F]),
        "layer_types_full_used": dict(use_sliding_window=True, sliding_window=5, max_window_layers=0, layer_types=[F, F]),
        "head_dim": dict(head_dim=4),
        "kv_heads_null": dict(num_key_value_heads=None),
        "attention_bias_off": dict(attention_bias=False),
        "use_mrope": dict(use_mrope=False),
    },
    "qwen3": {
        "window_used": dict(use_sliding_window=True, sliding_window=5, max_window_layers=1),
        "layer_types_without_use": dict(sliding_window=5, layer_types=[S, F]),
        "kv_heads_null": dict(num_key_value_heads=None),
        "head_dim_null": dict(head_dim=None),
    },
    "phi3": {
        "window": dict(sliding_window=5), "layer_types": dict(sliding_window=5, layer_types=[F, F]),
        "scaling_null": dict(rope_scaling=None, rope_theta=100.0),
        "longrope": dict(rope_scaling=dict(type="longrope", short_factor=HALF, long_factor=HALF[::-1]), original_max_position_embeddings=4),
        "longrope_su": dict(rope_scaling=dict(type="su", short_factor=HALF, long_factor=HALF[::-1]), original_max_position_embeddings=4),
        "longrope_yarn": dict(rope_scaling=dict(type="yarn", short_factor=HALF, long_factor=HALF[::-1]), original_max_position_embeddings=4),
        "longrope_original_both": dict(rope_scaling=dict(type="longrope", short_factor=HALF, long_factor=HALF[::-1],
                                                         original_max_position_embeddings=6), original_max_position_embeddings=4),
        "longrope_factor_given": dict(rope_scaling=dict(type="longrope", short_factor=HALF, long_factor=HALF[::-1], factor=3.0),
                                      original_max_position_embeddings=4),
        "partial_both": dict(partial_rotary_factor=0.5, rope_parameters=dict(rope_type="default", partial_rotary_factor=1.0)),
        "partial_top": dict(partial_rotary_factor=0.5),
        "head_dim": dict(head_dim=4),
    },
    "gemma2": {
        "rule": {}, "layer_types": dict(layer_types=[F, S]), "layer_types_null": dict(layer_types=None),
        "pattern_unused": dict(sliding_window_pattern=1), "window_null": dict(sliding_window=None),
        "caps_null": dict(attn_logit_softcapping=None, final_logit_softcapping=None),
        "activation_old_name": dict(hidden_act="gelu", hidden_activation="gelu_pytorch_tanh"),
        "activation_only_old_name": dict(hidden_act="relu"),
        "activation_null": dict(hidden_activation=None),
        "head_dim_null": dict(head_dim=None), "tie_off": dict(tie_word_embeddings=False),
    },
    "gemma3_text": {
        "rule": {}, "pattern": dict(sliding_window_pattern=2), "pattern_private": dict(_sliding_window_pattern=2),
        "layer_types_over_pattern": dict(sliding_window_pattern=2, layer_types=[F, S, S]),
        "old_thetas": dict(rope_theta=100.0, rope_local_base_freq=50.0, sliding_window_pattern=2),
        "nested_over_old": dict(rope_theta=100.0, rope_local_base_freq=50.0, sliding_window_pattern=2,
                                rope_parameters={F: dict(rope_type="default", rope_theta=20.0), S: dict(rope_type="default", rope_theta=10.0)}),
        "nested_without_theta": dict(rope_theta=100.0, rope_local_base_freq=50.0, sliding_window_pattern=2,
                                     rope_parameters={F: dict(rope_type="default"), S: dict(rope_type="default")}),
        "nested_half": dict(rope_theta=100.0, sliding_window_pattern=2, rope_parameters={F: dict(rope_type="default", rope_theta=20.0)}),
        "scaling_old": dict(rope_theta=100.0, rope_scaling=LINEAR, sliding_window_pattern=2),
        "scaling_updates_nested": dict(rope_theta=100.0, rope_scaling=LINEAR, sliding_window_pattern=2,
                                       rope_parameters={F: dict(rope_type="default", rope_theta=20.0), S: dict(rope_type="default", rope_theta=10.0)}),
        "scaling_type_beside_nested_rope_type": dict(rope_scaling=dict(type="linear", factor=4.0), sliding_window_pattern=2,
                                       rope_parameters={F: dict(rope_type="default", rope_theta=20.0), S: dict(rope_type="default", rope_theta=10.0)}),
        "parameters_flat": dict(sliding_window_pattern=2, rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=20.0)),
        "caps": dict(attn_logit_softcapping=2.0, final_logit_softcapping=1.0),
        "pattern_null": dict(sliding_window_pattern=None),
    },
    "gpt2": {
        "own_names": {},
        "alias_names": dict(n_embd=GONE, n_layer=GONE, n_head=GONE, n_positions=GONE, hidden_size=16, num_hidden_layers=2,
                            num_attention_heads=2, max_position_embeddings=16),
        "alias_over_own_heads": dict(n_head=4, num_attention_heads=2),
        "alias_over_own_layers": dict(n_layer=1, num_hidden_layers=2),
        "alias_over_own_width": dict(n_embd=8, hidden_size=16),
        "alias_over_own_positions": dict(n_positions=32, max_position_embeddings=16),
        "inner_null": dict(n_inner=None), "intermediate_size_is_no_alias": dict(intermediate_size=20),
        "n_ctx_is_no_alias": dict(n_ctx=4), "scale_by_layer": dict(scale_attn_by_inverse_layer_idx=True, scale_attn_weights=False),
    },
    "bert": {"own_names": {}, "alias_unused": dict(dim=8, n_layers=1), "pad_absent": {}},
    "distilbert": {
        "own_names": {},
        "alias_names": dict(dim=GONE, n_layers=GONE, n_heads=GONE, hidden_size=16, num_hidden_layers=2, num_attention_heads=2),
        "alias_over_own_heads": dict(n_heads=4, num_attention_heads=2), "alias_over_own_layers": dict(n_layers=1, num_hidden_layers=2),
        "intermediate_size_is_no_alias": dict(intermediate_size=20),
    },
    "modernbert": {
        "rule": {}, "every": dict(global_attn_every_n_layers=2), "layer_types_over_every": dict(global_attn_every_n_layers=2, layer_types=[S, S, F, F]),
        "old_thetas": dict(global_rope_theta=100.0, local_rope_theta=50.0),
        "nested_over_old": dict(global_rope_theta=100.0, local_rope_theta=50.0,
                                rope_parameters={F: dict(rope_type="default", rope_theta=20.0), S: dict(rope_type="default", rope_theta=10.0)}),
        "scaling": dict(rope_scaling=LINEAR, global_rope_theta=100.0),
        "local_theta_null": dict(local_rope_theta=None),
        "sliding_window_beside": dict(sliding_window=1),
        "activation_two_names": dict(hidden_activation="relu", hidden_act="gelu"),
    },
}
# Models of text and images: their text part, in the layouts of old and new files.
VISION = dict(model_type="siglip_vision_model", hidden_size=16, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, image_size=28,
              patch_size=14)
CLIP = dict(VISION, model_type="clip_vision_model", projection_dim=16)
GEMMA_TEXT = {k: v for k, v in FAMILIES["gemma3_text"].items()}
FAMILIES["gemma3"] = dict(model_type="gemma3", architectures=["Gemma3ForConditionalGeneration"], text_config=GEMMA_TEXT, vision_config=VISION,
                          mm_tokens_per_image=1, image_token_index=15, boi_token_index=14, eoi_token_index=13)
FAMILIES["llava"] = dict(model_type="llava", text_config=FAMILIES["llama"], vision_config=CLIP, image_token_index=15)
FAMILIES["mistral3"] = dict(model_type="mistral3", text_config=dict(FAMILIES["mistral"], head_dim=8), image_token_index=15,
                            vision_config=dict(model_type="pixtral", hidden_size=16, intermediate_size=12, num_hidden_layers=1,
                                               num_attention_heads=2, head_dim=8, image_size=28, patch_size=14))
OLD = [("model.language_model.", "language_model.model."), ("lm_head.", "language_model.lm_head."), ("model.vision_tower.", "vision_tower."),
       ("model.multi_modal_projector.", "multi_modal_projector.")]
UNTYPED = {k: v for k, v in GEMMA_TEXT.items() if k != "model_type"}
CASES.update({
    "gemma3": {
        "new_keys": {}, "old_keys": {}, "tie_off_outside": dict(tie_word_embeddings=False),
        "tie_off_inside": dict(text_config=dict(GEMMA_TEXT, tie_word_embeddings=False)),
        "tie_off_outside_on_inside": dict(tie_word_embeddings=False, text_config=dict(GEMMA_TEXT, tie_word_embeddings=True)),
        "text_untyped": dict(text_config=UNTYPED),
    },
    "llava": {"new_keys": {}, "old_keys": {}, "tie_on_outside": dict(tie_word_embeddings=True),
              "tie_on_inside": dict(text_config=dict(FAMILIES["llama"], tie_word_embeddings=True))},
    "mistral3": {"new_keys": {}, "old_keys": {}},
})
IMAGES = ["gemma3", "llava", "mistral3"]
FAMILIES["gemma2"]["final_logit_softcapping"] = 1.5
FAMILIES["gemma2"]["attn_logit_softcapping"] = 2.5


def value(key, shape):
    """The formula: what the test writes too."""
    n = 1
    for d in shape:
        n *= d
    seed = sum(key.encode()) * 101
    i = torch.arange(n, dtype=torch.float64)
    v = torch.remainder(i * 7919 + seed, 1009) / 1009 - 0.5
    scale = len(shape) == 1 and key.endswith("weight")
    return (v * 0.4 + 1.0 if scale else v * 0.9).to(torch.float32).reshape(shape)


def filled(model):
    state = model.state_dict()
    return {key: value(key, list(tensor.shape)) for key, tensor in state.items() if tensor.is_floating_point()}


def config_of(family, changes):
    fields = {**copy.deepcopy(FAMILIES[family]), **copy.deepcopy(changes)}
    return {key: v for key, v in fields.items() if v != GONE}


def run(model, encoder):
    with torch.no_grad():
        out = model(input_ids=torch.tensor(IDS))
    states = out.last_hidden_state if encoder else out.logits
    return [round(v, 6) for v in states[0, -1].flatten().tolist()[:8]]


def case(family, fields, old_keys=False):
    encoder = family in ENCODERS
    kind = AutoModel if encoder else AutoModelForImageTextToText if family in IMAGES else AutoModelForCausalLM
    with tempfile.TemporaryDirectory() as dir:
        dir = Path(dir)
        (dir / "config.json").write_text(json.dumps(fields))
        try:
            config = AutoConfig.from_pretrained(dir)
            fresh = kind.from_config(config, attn_implementation="eager")
            tensors = filled(fresh)
            for new, old in OLD if old_keys else []:
                keys = [key.replace(new, old, 1) if key.startswith(new) else key for key in tensors]
                tensors = {key: value(key, list(tensor.shape)) for key, tensor in zip(keys, tensors.values())}
            if not encoder and getattr(config, "tie_word_embeddings", False):
                for key in ["lm_head.weight", "language_model.lm_head.weight"]:
                    tensors.pop(key, None)
            save_file(tensors, dir / "model.safetensors", metadata={"format": "pt"})
            model = kind.from_pretrained(dir, attn_implementation="eager", dtype=torch.float32).eval()
            shapes = {key: list(tensor.shape) for key, tensor in sorted(tensors.items())}
            return dict(tensors=shapes, out=run(model, encoder))
        except Exception as error:
            return dict(raises=f"{type(error).__name__}: {error}".splitlines()[0][:160])


# Directories: what files hold (`a` and `b` are the halves of the model, `n` its last norm, filled with the number), and what the index maps to which.
ONE, TWO, EXTRA, INDEX = "model-1-of-2.safetensors", "model-2-of-2.safetensors", "model-3-of-2.safetensors", "model.safetensors.index.json"
SHARDS = {ONE: "a", TWO: "bn1"}
OLDER = {ONE: "a", TWO: "bn2"}
SPLIT = {"a": ONE, "b": TWO, "n": TWO}
DIRECTORIES = {
    "single": dict(files={"model.safetensors": "abn1"}),
    "single_beside_index": dict(files={"model.safetensors": "abn1", **OLDER}, index=SPLIT),
    "single_beside_bin": dict(files={"model.safetensors": "abn1", "pytorch_model.bin": "abn2"}),
    "index_beside_bin": dict(files={**SHARDS, "pytorch_model.bin": "abn2"}, index=SPLIT),
    "index": dict(files=SHARDS, index=SPLIT),
    "index_of_a_missing_shard": dict(files=SHARDS, index={**SPLIT, "x": EXTRA}),
    "shard_that_the_index_lacks": dict(files={**SHARDS, EXTRA: "n2"}, index=SPLIT),
    "index_swapped": dict(files=SHARDS, index={"a": TWO, "b": ONE, "n": ONE}),
    "index_of_a_key_that_no_shard_has": dict(files=SHARDS, index={**SPLIT, "x": TWO}),
    "key_in_two_shards_by_the_index_first": dict(files={ONE: "an1", TWO: "bn2"}, index={"a": ONE, "b": TWO, "n": ONE}),
    "key_in_two_shards_by_the_index_second": dict(files={ONE: "an1", TWO: "bn2"}, index=SPLIT),
    "shards_without_index": dict(files=SHARDS),
    "other_name": dict(files={"consolidated.safetensors": "abn1"}),
    "variant": dict(files={"model.fp16.safetensors": "abn1"}),
    "named_by_config": dict(files={"model.safetensors": "abn2", "own.safetensors": "abn1"}, weights="own.safetensors"),
    "named_by_config_index": dict(files={"model.safetensors": "abn2", **SHARDS}, index=SPLIT, index_name="own.safetensors.index.json",
                                  weights="own.safetensors.index.json"),
    "named_by_config_missing": dict(files={"model.safetensors": "abn1"}, weights="own.safetensors"),
    "named_by_config_outside": dict(files={"model.safetensors": "abn1"}, weights="../own.safetensors"),
    "named_by_config_no_safetensors": dict(files={"model.safetensors": "abn1", "own.bin": "abn2"}, weights="own.bin"),
    "named_by_config_null": dict(files={"model.safetensors": "abn1"}, weights=None),
}
NORM_KEY = "model.norm.weight"


def part(key):
    return "n" if key == NORM_KEY else "a" if ".0." in key or "embed" in key else "b"


def directory(spec):
    fields = dict(FAMILIES["llama"])
    if "weights" in spec:
        fields["transformers_weights"] = spec["weights"]
    tensors = filled(AutoModelForCausalLM.from_config(AutoConfig.for_model(**FAMILIES["llama"])))
    with tempfile.TemporaryDirectory() as dir:
        dir = Path(dir)
        (dir / "config.json").write_text(json.dumps(fields))
        for name, holds in spec["files"].items():
            kept = {key: tensor for key, tensor in tensors.items() if part(key) in holds}
            if "n" in holds:
                kept[NORM_KEY] = torch.full_like(tensors[NORM_KEY], float(holds[-1]))
            if name.endswith(".bin"):
                torch.save(kept, dir / name)
            else:
                save_file(kept, dir / name, metadata={"format": "pt"})
        if "index" in spec:
            names = {key: spec["index"][part(key)] for key in tensors}
            if "x" in spec["index"]:
                names["model.extra.weight"] = spec["index"]["x"]
            (dir / spec.get("index_name", INDEX)).write_text(json.dumps(dict(metadata={}, weight_map=names)))
        try:
            model = AutoModelForCausalLM.from_pretrained(dir, attn_implementation="eager", dtype=torch.float32)
            return dict(norm=model.model.norm.weight[0].item())
        except Exception as error:
            return dict(raises=f"{type(error).__name__}: {error}".splitlines()[0].replace(str(dir), "DIR")[:160])


if __name__ == "__main__":
    tables, lines = [], []
    for family, changes in CASES.items():
        for name, change in changes.items():
            fields = config_of(family, change)
            found = case(family, fields, name == "old_keys")
            if "tensors" in found:
                shapes = found["tensors"]
                if shapes not in tables:
                    tables.append(shapes)
                found["tensors"] = tables.index(shapes)
            found = dict(name=f"{family}/{name}", encoder=family in ENCODERS, config=fields, **found)
            lines.append(found)
            print(found["name"], found.get("raises") or found["out"][:3])
    # One line an entry: small, and a difference shows which.
    def rows(values):
        return "[\n" + ",\n".join(json.dumps(value) for value in values) + "\n]"
    places = [dict(name=name, **spec, **directory(spec)) for name, spec in DIRECTORIES.items()]
    for found in places:
        print(found["name"], found.get("raises") or found["norm"])
    text = f'{{"ids": {json.dumps(IDS[0])}, "tensors": {rows(tables)}, "configs": {rows(lines)}, "directories": {rows(places)}}}\n'
    (HERE / "precedence.json").write_text(text)
