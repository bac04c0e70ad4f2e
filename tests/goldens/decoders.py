"""Tiny random decoders with what transformers computes for them: `models/NAME`."""

import math

import torch
from transformers import (
    AutoConfig, AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, GenerationConfig, GPT2Config, LlamaConfig, MistralConfig, Phi3Config,
    Qwen2Config, Qwen3Config,
)

from common import HERE, VOCAB, fresh, ids, padded, rand_, read_json, save, write_json

COMMON = dict(intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64)
# `hidden_size` apart from heads * `head_dim`, for the families whose config has a `head_dim`.
APART = dict(hidden_size=24, head_dim=8)
JOINT = dict(hidden_size=32)
LONG = dict(hidden_size=24, head_dim=16)
PHI3 = dict(JOINT, pad_token_id=0, eos_token_id=1, original_max_position_embeddings=64)
GEMMA = dict(APART, query_pre_attn_scalar=10, sliding_window=7)
GPT2 = dict(n_embd=32, n_layer=2, n_head=4, n_positions=32, n_inner=40, bos_token_id=0, eos_token_id=0)


def rope(kind, theta=10000.0, **fields):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **fields))


def llama(**changes):
    fields = dict(
        vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False,
    )
    return LlamaConfig(**{**fields, **changes})


def small(config, **changes):
    return config(**{**dict(vocab_size=VOCAB), **({} if config is GPT2Config else COMMON), **changes})


YARN = dict(factor=4.0, original_max_position_embeddings=64)
LONGROPE = rope("longrope", partial_rotary_factor=0.5, short_factor=[1.0, 1.3], long_factor=[2.0, 5.0])
MODELS = {
    # The first llamas; the other tables of this folder use their names.
    "gqa": llama(), "tied": llama(tie_word_embeddings=True), "biased": llama(attention_bias=True, mlp_bias=True),
    "head_dim": llama(head_dim=12),
    "llama3_rope": llama(**rope("llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)),
    # Rotary variants; the sequence is longer than the dynamic one's `max_position_embeddings`.
    "llama_linear": small(LlamaConfig, **APART, **rope("linear", 500.0, factor=3.0)),
    "llama_dynamic": small(LlamaConfig, **{**APART, **rope("dynamic", 100.0, factor=3.0), "max_position_embeddings": 16}),
    "llama_yarn": small(LlamaConfig, **{**LONG, **rope("yarn", 100.0, **YARN), "max_position_embeddings": 256}),
    "llama_yarn_mscale": small(LlamaConfig, **LONG, **rope(
        "yarn", 100.0, **{**YARN, "original_max_position_embeddings": 16}, beta_fast=2.0, beta_slow=0.25, mscale=1.5, mscale_all_dim=0.5)),
    "llama_yarn_attention_factor": small(LlamaConfig, **LONG, **rope(
        "yarn", 100.0, **{**YARN, "original_max_position_embeddings": 16}, beta_fast=2, beta_slow=0.25, attention_factor=0.7, truncate=False)),
    # Other dtypes on disk, in several files.
    "llama_sharded_bf16": small(LlamaConfig, **APART, dtype="bfloat16"),
    "llama_f16": small(LlamaConfig, **APART, dtype="float16"),
    "mistral": small(MistralConfig, **APART, sliding_window=7),
    "mistral_full": small(MistralConfig, **JOINT, sliding_window=None),
    "qwen2": small(Qwen2Config, **JOINT),
    "qwen2_window_tied": small(Qwen2Config, **JOINT, tie_word_embeddings=True, use_sliding_window=True, sliding_window=7, max_window_layers=1),
    "qwen3": small(Qwen3Config, **APART),
    "qwen3_window_biased": small(Qwen3Config, **APART, attention_bias=True, use_sliding_window=True, sliding_window=7, max_window_layers=1),
    # Saved without its head and so without the prefix `model.`.
    "qwen3_base_tied": small(Qwen3Config, **APART, tie_word_embeddings=True),
    "phi3": small(Phi3Config, **PHI3),
    "phi3_partial": small(Phi3Config, **PHI3, **rope("default", partial_rotary_factor=0.5), sliding_window=7, tie_word_embeddings=True),
    "phi3_longrope": small(Phi3Config, **{**PHI3, **LONGROPE, "original_max_position_embeddings": 16}),
    "gemma2": small(Gemma2Config, **GEMMA, attn_logit_softcapping=2.0, final_logit_softcapping=5.0),
    "gemma2_untied": small(Gemma2Config, **GEMMA, attn_logit_softcapping=None, final_logit_softcapping=None, tie_word_embeddings=False, attention_bias=True),
    # The soft cap of the attention is stored and not applied.
    "gemma3": small(Gemma3TextConfig, **GEMMA, sliding_window_pattern=2, attn_logit_softcapping=0.5, rope_parameters=dict(
        full_attention=dict(rope_type="default", rope_theta=1000.0), sliding_attention=dict(rope_type="default", rope_theta=20.0))),
    "gemma3_linear": small(Gemma3TextConfig, **{**GEMMA, "num_hidden_layers": 3}, sliding_window_pattern=3, final_logit_softcapping=5.0, rope_parameters=dict(
        full_attention=dict(rope_type="linear", factor=3.0, rope_theta=1000.0), sliding_attention=dict(rope_type="default", rope_theta=20.0))),
    "gpt2": small(GPT2Config, **GPT2),
    "gpt2_scaled": small(GPT2Config, **GPT2, scale_attn_by_inverse_layer_idx=True, scale_attn_weights=False, reorder_and_upcast_attn=True,
                         activation_function="gelu", tie_word_embeddings=False),
    # As the hub has it: no prefix, the causal masks saved as buffers.
    "gpt2_old": small(GPT2Config, **GPT2),
}
FIRST = {"gqa", "tied", "biased", "head_dim", "llama3_rope"}


def old_config(name, config):
    """The same config in the spelling of older releases, or None."""
    config = {k: v for k, v in config.items() if k != "_sliding_window_pattern"}
    if name in ("llama3_rope", "llama_linear", "llama_dynamic", "llama_yarn", "llama_yarn_mscale", "mistral", "phi3_longrope"):
        scaling = config.pop("rope_parameters")
        config["rope_theta"] = scaling.pop("rope_theta")
        if "partial_rotary_factor" in scaling:
            config["partial_rotary_factor"] = scaling.pop("partial_rotary_factor")
        kind = scaling.pop("rope_type")
        key = "rope_type" if kind in ("llama3", "yarn") else "type"
        scaling.pop("original_max_position_embeddings", None) if kind == "longrope" else None
        config["rope_scaling"] = None if kind == "default" else {**scaling, key: kind}
    elif name.startswith("gemma3"):
        scaling = config.pop("rope_parameters")
        config["rope_local_base_freq"] = scaling["sliding_attention"]["rope_theta"]
        config["rope_theta"] = scaling["full_attention"].pop("rope_theta")
        config["rope_scaling"] = None if scaling["full_attention"]["rope_type"] == "default" else scaling["full_attention"]
        config["sliding_window_pattern"] = len(config.pop("layer_types"))
    elif name in ("qwen2", "qwen2_window_tied", "gemma2"):
        config.pop("layer_types")
        config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
        if name == "qwen2":
            config["sliding_window"] = 7  # and `use_sliding_window` false: no window
        if name == "gemma2":
            config["hidden_act"] = "silu"  # not what counts: `hidden_activation` is
            config.pop("tie_word_embeddings")
    else:
        return None
    return config


def load(name, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(HERE / "models" / name, attn_implementation="eager", dtype=dtype).eval()


def greedy(model, prompt, count):
    """The tokens of greedy decoding without a cache, and the logits that chose each."""
    new, logits = [], []
    for _ in range(count):
        logits.append(model(prompt).logits[0, -1])
        new.append(logits[-1].argmax())
        prompt = torch.cat([prompt, new[-1].view(1, 1)], 1)
    return torch.stack(new), torch.stack(logits)


def greedy_cached(model, prompt, count):
    """The same by `generate`, with a cache."""
    settings = GenerationConfig(do_sample=False, max_new_tokens=count, pad_token_id=0, output_logits=True, return_dict_in_generate=True)
    model.generation_config.eos_token_id = None
    out = model.generate(prompt, attention_mask=torch.ones_like(prompt), generation_config=settings)
    return out.sequences[0, prompt.shape[1]:], torch.cat(out.logits)


def write_weights(name, model, dir):
    if name == "llama_sharded_bf16":
        model.to(torch.bfloat16).save_pretrained(dir, max_shard_size="15KB")
    elif name == "llama_f16":
        model.to(torch.float16).save_pretrained(dir)
    else:
        (model.model if name == "qwen3_base_tied" else model).save_pretrained(dir)
    (dir / "generation_config.json").unlink(missing_ok=True)
    if name == "gpt2_old":
        state = {k.removeprefix("transformer."): v for k, v in model.state_dict().items() if k != "lm_head.weight"}
        n = model.config.n_positions
        for i in range(model.config.n_layer):
            state[f"h.{i}.attn.bias"] = torch.ones(n, n).tril().view(1, 1, n, n)
            state[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
        save(state, dir / "model.safetensors")


def make_model(name):
    config = MODELS[name]
    torch.manual_seed(len(name))
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    gemma = name.startswith("gemma")
    # Small enough for bf16 to stay within a hundredth of the largest logit, as far as its rounding allows.
    rand_(model, std=0.25 if name in FIRST or gemma else 0.12, norm=0.0 if gemma else 1.0)
    dir = fresh("models", name)
    write_weights(name, model, dir)
    old = old_config(name, read_json(dir / "config.json"))
    if old:
        write_json(old, dir / "config.old.json")
    x = ids(config.vocab_size)
    mask = padded(x)
    with torch.no_grad():
        out = {
            "input_ids": x, "logits": load(name)(x).logits, "padded_attention_mask": mask,
            "padded_logits": load(name)(x, attention_mask=mask).logits, "generated": greedy(load(name), x[:1, :6], 8)[0],
        }
        note = ""
        if name not in FIRST:
            out["logits_bf16"] = load(name, torch.bfloat16)(x).logits.float()
            top = out["logits"].abs().max()
            note = f"max {top:.2f}, bf16 apart by {((out['logits_bf16'] - out['logits']).abs().max() / top):.1e}"
        if name in ("llama_dynamic", "phi3_longrope"):  # what changes at a length is shown on both sides of it
            out["short_logits"] = load(name)(x[:, :12]).logits
            tokens, logits = greedy(load(name), x[:1, :12], 10)
            cached_tokens, cached_logits = greedy_cached(load(name), x[:1, :12], 10)
            out |= {"beyond_generated": tokens, "beyond_logits": logits}
            out |= {"beyond_cached_generated": cached_tokens, "beyond_cached_logits": cached_logits}
            note += f", cached apart by {(logits - cached_logits).abs().amax(1)}"
        assert torch.equal(greedy_cached(load(name), x[:1, :6], 8)[0], out["generated"])
        if old:
            other = AutoModelForCausalLM.from_pretrained(
                dir, config=AutoConfig.for_model(**old), attn_implementation="eager", dtype=torch.float32).eval()
            assert torch.equal(other(x).logits, out["logits"]), name
    assert math.isfinite(out["logits"].sum())
    save(out, dir / "expected.safetensors")
    print("model", name, sum(f.stat().st_size for f in dir.iterdir()), note)
