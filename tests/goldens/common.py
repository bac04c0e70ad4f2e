"""What all goldens share: sizes, random weights, inputs, and how files are written."""

import json
import re
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
SEQ, VOCAB = 24, 64
NORM = re.compile(r"norm|ln_\d|ln_f|LayerNorm", re.IGNORECASE)


def rand_(model, std=0.25, norm=1.0):
    """Weights large enough to matter: norm scales about `norm` (0 where the model adds 1 itself; less on q and k), everything else about 0."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            scale = NORM.search(name) is not None
            center = norm if scale and not name.endswith("bias") else 0.0
            center -= 0.4 if "q_norm" in name or "k_norm" in name else 0.0
            p.copy_(torch.randn_like(p) * (0.1 if scale else std) + center)


def ids(vocab=VOCAB, low=0):
    return torch.randint(low, vocab, (2, SEQ), generator=torch.Generator().manual_seed(7))


def padded(x):
    """The mask of a batch whose second row ends in five tokens of padding."""
    mask = torch.ones_like(x)
    mask[1, -5:] = 0
    return mask


def fresh(kind, name):
    dir = HERE / kind / name
    shutil.rmtree(dir, ignore_errors=True)
    dir.mkdir(parents=True)
    return dir


def save(tensors, path):
    metadata = {"format": "pt"} if path.name.startswith("model") else None
    save_file({k: v.detach().contiguous() for k, v in tensors.items()}, path, metadata=metadata)


def read_json(path):
    return json.loads(path.read_text())


def write_json(value, path):
    path.write_text(json.dumps(value, indent=2))
