"""Tiny models as GGUF files, written by gguf-py as llama.cpp's convert_hf_to_gguf.py writes them, with what transformers computes at the last six positions and the tokens that it makes: `gguf/NAME.gguf`,
`gguf/NAME.safetensors`, `gguf/tokens.json`. Run: python make_gguf_models.py [NAME] (torch, transformers, gguf)

The weights of the model in transformers are those that gguf-py dequantises. Where transformers' own GGUF loader reads what the file says, its logits and tokens must be the same.
"""

import json
import math
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM, AutoTokenizer, Gemma2Config, Gemma3TextConfig, GPT2Config, LlamaConfig, Phi3Config, Qwen2Config, Qwen3Config,
)
from transformers.integrations.gguf import convert_gguf_tokenizer, get_gguf_tokenizer

from common import rand_

HERE = Path(__file__).parent / "gguf"
TEXTS = [
    "", " ", "  two  spaces ", "Hello, world!", " the cat sat on the mat", "It's 2024, isn't it? 3.14159 and 1,000,000", "naïve façade, Ünïcödé e\u0301",
    "emoji 🦀👩\u200d👩\u200d👧 and 日本語のテキスト", "tabs\tand\nnewlines\r\n\n\n  indented", "I'M SHOUTING don't DON'T", "<s>literal</s> <unk>", "<|im_start|>user\nhi<|im_end|>\n",
    "x" * 40, "a_b-c/d\\e (f) [g] {h}", "▁already▁there", "end with space ", "<|im_start|>", "ÀÉ ß ﬁ ½ ２", "\u00a0nbsp\u2003em",
]
CORPUS = ["the cat sat on the mat and the dog sat on the log", "it is what it is, isn't it? don't you think so", "hello world, hello there 1234 5678 2024", "naïve café façade über",
          "    if (x == 10) {\n        return y;\n    }\n", "日本語のテキスト 日本", "Hello Hello HELLO User user assistant system"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
VOCAB = 512
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def byte_level(pre, bos=None):
    """Tokens, types, merges and named tokens of a vocabulary of bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - 4, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [token for token, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    types = [CONTROL if token in special else NORMAL for token in tokens]
    tokens.append("<think>")
    types.append(USER)
    tokens += [f"[PAD{i}]" for i in range(len(tokens), VOCAB)]
    types += [UNUSED] * (VOCAB - len(types))
    merges = [" ".join(m) if isinstance(m, list) else m for m in model["merges"]]
    return dict(model="gpt2", pre=pre, tokens=tokens, types=types, merges=merges, bos=1, eos=2, unk=0, pad=2, add_bos=bos)


def sentencepiece(gemma=False):
    """The same of SentencePiece's, with scores and without merges."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>"] if gemma else ["<unk>", "<s>", "</s>"]
    ids = dict(bos=2, eos=1, unk=3, pad=0) if gemma else dict(bos=1, eos=2, unk=0)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=not gemma)
    tokenizer.train_from_iterator(CORPUS * 3, trainers.BpeTrainer(vocab_size=150, show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    merged = ["".join(m if isinstance(m, list) else m.split(" ")) for m in model["merges"]]
    chars = [token for token in model["vocab"] if token not in merged]
    added = ["<|im_start|>", "<|im_end|>"]
    tokens = special + [f"<0x{i:02X}>" for i in range(256)] + added
    types = [UNKNOWN if t == "<unk>" else CONTROL for t in special] + [BYTE] * 256 + [CONTROL, USER]
    scores = [0.0] * len(tokens)
    if gemma:
        tokens, types, scores = tokens + ["  ", "   "], types + [USER] * 2, scores + [0.0] * 2
    merged = [t for t in dict.fromkeys(merged) if t not in tokens]
    tokens, scores = tokens + merged, scores + [-float(i) for i in range(len(merged))]
    chars = [c for c in chars if c not in tokens]
    tokens, scores = tokens + chars, scores + [-1000.0 - i for i in range(len(chars))]
    types += [NORMAL] * (len(tokens) - len(types))
    assert len(tokens) <= VOCAB, len(tokens)
    rest = range(len(tokens), VOCAB)
    return dict(model="llama", tokens=tokens + [f"<unused{i}>" for i in rest], types=types + [UNUSED] * len(rest), scores=scores + [-1e4] * len(rest), **ids)


COMMON = dict(vocab_size=VOCAB, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64)
LLAMA = dict(COMMON, hidden_size=32, head_dim=16)
GEMMA = dict(COMMON, hidden_size=32, head_dim=16, query_pre_attn_scalar=16, sliding_window=7)
LONG = dict(rope_type="longrope", rope_theta=10000.0, short_factor=[1.0, 1.3, 1.5, 2.0], long_factor=[2.0, 5.0, 6.0, 8.0])
# A config, what its matrices are stored as, its tokenizer, whether transformers' own loader reads all of the file.
MODELS = {
    "llama_q8_0": (LlamaConfig(**LLAMA, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2), T.Q8_0, sentencepiece(), True),
    "llama_q4_0": (LlamaConfig(**LLAMA, tie_word_embeddings=True), T.Q4_0, byte_level("smollm"), True),
    "llama_f16": (LlamaConfig(**LLAMA, tie_word_embeddings=True), T.F16, byte_level("llama-bpe", bos=True), True),
    "llama3_bf16": (LlamaConfig(**LLAMA, tie_word_embeddings=True, rope_parameters=dict(
        rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)),
        T.BF16, byte_level("tekken", bos=True), False),
    "llama_yarn": (LlamaConfig(**LLAMA, rope_parameters=dict(rope_type="yarn", rope_theta=1000.0, factor=4.0, original_max_position_embeddings=16)), T.F32, byte_level("gpt-2"), False),
    "qwen2_q5_1": (Qwen2Config(**COMMON, hidden_size=64, tie_word_embeddings=True), T.Q5_1, byte_level("qwen2"), True),
    "qwen3_q5_0": (Qwen3Config(**LLAMA, tie_word_embeddings=False), T.Q5_0, byte_level("qwen2"), False),
    "gemma2_q4_1": (Gemma2Config(**GEMMA, attn_logit_softcapping=2.0, final_logit_softcapping=5.0), T.Q4_1, sentencepiece(gemma=True), False),
    "gemma3_q8_0": (Gemma3TextConfig(**{**GEMMA, "num_hidden_layers": 6}, rope_parameters=dict(
        full_attention=dict(rope_type="linear", factor=3.0, rope_theta=1000.0), sliding_attention=dict(rope_type="default", rope_theta=20.0))),
        T.Q8_0, sentencepiece(gemma=True), False),
    "phi3_f16": (Phi3Config(**COMMON, hidden_size=64, pad_token_id=0, tie_word_embeddings=False, rope_parameters=dict(LONG, partial_rotary_factor=0.5),
        original_max_position_embeddings=16), T.F16, sentencepiece(), False),
    "gpt2_q8_0": (GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=64, n_inner=64), T.Q8_0, byte_level("gpt-2"), False),
}


def architecture(config):
    return {"gemma3_text": "gemma3"}.get(config.model_type, config.model_type)


def permute(weights, heads):
    """As the convert script has it."""
    shape = weights.shape
    return weights.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def add_config(writer, config):
    get = lambda *names: next((getattr(config, n) for n in names if getattr(config, n, None) is not None), None)
    writer.add_context_length(get("max_position_embeddings", "n_positions"))
    writer.add_embedding_length(get("hidden_size", "n_embd"))
    writer.add_block_count(get("num_hidden_layers", "n_layer"))
    writer.add_feed_forward_length(get("intermediate_size", "n_inner"))
    writer.add_head_count(get("num_attention_heads", "n_head"))
    if config.model_type == "gpt2":
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return None
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_dim = get("head_dim") or config.hidden_size // config.num_attention_heads
    if config.hidden_size != head_dim * config.num_attention_heads or config.model_type.startswith(("gemma", "qwen3")):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    rope = config.rope_parameters
    if config.model_type.startswith("gemma"):
        writer.add_sliding_window(config.sliding_window)
        if config.attn_logit_softcapping:
            writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        if config.final_logit_softcapping:
            writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if "full_attention" in rope:
        writer.add_float32(f"{architecture(config)}.rope.freq_base_swa", rope["sliding_attention"]["rope_theta"])
        rope = rope["full_attention"]
    writer.add_rope_freq_base(rope["rope_theta"])
    rotated = int(head_dim * rope.get("partial_rotary_factor", 1.0))
    if config.model_type in ("llama", "phi3"):
        writer.add_rope_dimension_count(rotated)
    if rope["rope_type"] in ("linear", "yarn"):
        kind = gguf.RopeScalingType.LINEAR if rope["rope_type"] == "linear" else gguf.RopeScalingType.YARN
        writer.add_rope_scaling_type(kind)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if rope["rope_type"] == "longrope":
        original = config.original_max_position_embeddings if hasattr(config, "original_max_position_embeddings") else rope["original_max_position_embeddings"]
        writer.add_rope_scaling_orig_ctx_len(original)
        stretch = config.max_position_embeddings / original
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(stretch) / math.log(original)))
        writer.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], dtype=np.float32))
        writer.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], dtype=np.float32))
    if rope["rope_type"] == "llama3":
        # As generate_extra_tensors of the convert script.
        freqs = 1.0 / (rope["rope_theta"] ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim))
        low, high, old = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
        factors = []
        for freq in freqs:
            length = 2 * math.pi / freq
            if length < old / high:
                factors.append(1)
            elif length > old / low:
                factors.append(rope["factor"])
            else:
                smooth = (old / length - low) / (high - low)
                factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
        writer.add_tensor("rope_freqs.weight", np.array(factors, dtype=np.float32))
    return None


def add_tokenizer(writer, t):
    writer.add_tokenizer_model(t["model"])
    if "pre" in t:
        writer.add_tokenizer_pre(t["pre"])
    writer.add_token_list(t["tokens"])
    if "scores" in t:
        writer.add_token_scores(t["scores"])
    writer.add_token_types(t["types"])
    if "merges" in t:
        writer.add_token_merges(t["merges"])
    writer.add_bos_token_id(t["bos"])
    writer.add_eos_token_id(t["eos"])
    writer.add_unk_token_id(t["unk"])
    if "pad" in t:
        writer.add_pad_token_id(t["pad"])
    if t.get("add_bos") is not None:
        writer.add_add_bos_token(t["add_bos"])
    writer.add_chat_template(TEMPLATE)


def add_weights(writer, model, config, kind):
    """Write the weights, and put those that are written into the model."""
    arch = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}[architecture(config)]
    layers = getattr(config, "num_hidden_layers", None) or config.n_layer
    names = gguf.get_tensor_name_map(arch, layers)
    state = model.state_dict()
    tied = config.tie_word_embeddings
    for key, tensor in state.items():
        if tied and key == "lm_head.weight":
            continue
        base, end = key.rsplit(".", 1)
        name = f"{names.get_name(base)}.{end}"
        weights = tensor.float().numpy()
        conv1d = config.model_type == "gpt2" and base.rsplit(".", 1)[-1] in ("c_attn", "c_proj", "c_fc") and end == "weight"
        norm = config.model_type.startswith("gemma") and key.endswith("norm.weight")
        if conv1d:
            weights = weights.T
        if norm:
            weights = weights + 1
        heads = {"q_proj": getattr(config, "num_attention_heads", 0), "k_proj": getattr(config, "num_key_value_heads", 0)}.get(base.rsplit(".", 1)[-1])
        if config.model_type == "llama" and heads:
            weights = permute(weights, heads)
        # gguf-py's rules: vectors stay as they are.
        own = T.F32 if weights.ndim == 1 or "position_embd" in name else kind
        packed = gguf.quants.quantize(np.ascontiguousarray(weights), own)
        writer.add_tensor(name, packed, raw_dtype=own)
        plain = gguf.quants.dequantize(packed.view(np.uint8), own).reshape(weights.shape)
        if config.model_type == "llama" and heads:
            shape = plain.shape
            plain = plain.reshape(heads, shape[0] // heads // 2, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)
        if norm:
            plain = plain - 1
        if conv1d:
            plain = plain.T
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(plain)))


def reference_tokenizer(path, t):
    architecture, fields, named = get_gguf_tokenizer(str(path))
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    backend = tokenizer.backend_tokenizer
    if t.get("pre") == "smollm":
        # As in ../bench/smollm2.py: transformers does not read it.
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    if t.get("pre") == "qwen2":
        # The model's own files compose, which ggml's names do not say.
        from tokenizers import normalizers
        backend.normalizer = normalizers.NFC()
    return tokenizer


@torch.no_grad()
def make(name, tokens):
    config, kind, t, own_loader = MODELS[name]
    torch.manual_seed(len(name))
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    gemma = config.model_type.startswith("gemma")
    rand_(model, std=0.2, norm=0.0 if gemma else 1.0)
    path = HERE / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, architecture(config))
    writer.add_type("model")
    writer.add_name(name)
    add_config(writer, config)
    add_tokenizer(writer, t)
    add_weights(writer, model, config, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    x = torch.randint(0, VOCAB, (2, 24), generator=torch.Generator().manual_seed(7))
    logits = model(x).logits
    if own_loader:
        read = AutoModelForCausalLM.from_pretrained(HERE, gguf_file=path.name, attn_implementation="eager", dtype=torch.float32).eval()
        apart = (read(x).logits - logits).abs().max() / logits.abs().max()
        assert apart < 1e-5, (name, apart)
    save_file({"input_ids": x, "logits": logits[:, -6:].contiguous()}, HERE / f"{name}.safetensors")
    tokenizer = reference_tokenizer(path, t)
    tokens[name] = {"ids": [tokenizer(text).input_ids for text in TEXTS], "eos": t["eos"]}
    print(name, path.stat().st_size, f"{logits.abs().max():.2f}")


def main():
    HERE.mkdir(exist_ok=True)
    path = HERE / "tokens.json"
    names = sys.argv[1:] or MODELS
    tokens = json.loads(path.read_text())["models"] if sys.argv[1:] else {}
    for name in names:
        make(name, tokens)
    path.write_text(json.dumps({"texts": TEXTS, "models": tokens}) + "\n")


if __name__ == "__main__":
    main()
