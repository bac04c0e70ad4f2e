"""What bitsandbytes keeps moments as in eight bits, and two steps of its AdamW8bit: `bnb/adamw_8bit.safetensors`.

Run: python make_adamw_8bit.py (torch, bitsandbytes, safetensors)
"""

from pathlib import Path

import bitsandbytes as bnb
import bitsandbytes.functional as F
import bitsandbytes.backends.cpu.ops as cpu
import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent / "bnb"
# Whole blocks of 256, and a last one that is not full; enough numbers to be kept in eight bits.
SHAPE = (17, 250)


def nearest(x, code, blocksize=256):
    """The nearest codes, as on other devices: its library for processors takes others for the smallest numbers, where
    what it has in Python, for numbers of another type, does not. Of nothing but zeros that makes no numbers."""
    codes, scales = torch.ops.bitsandbytes.quantize_blockwise(x.double(), code, blocksize)
    zero = (scales == 0).repeat_interleave(blocksize)[: x.numel()].reshape(x.shape)
    codes[zero] = code.abs().argmin().to(torch.uint8)
    return codes, scales


def requantise(x, code, scales, codes, blocksize):
    found, absmax = nearest(x, code, blocksize)
    codes.copy_(found.reshape(codes.shape))
    scales.copy_(absmax)


cpu._quant_blockwise_fp32_direct = requantise


def values(generator):
    x = torch.randn(SHAPE, generator=generator) * 10.0 ** torch.randint(-6, 3, SHAPE, generator=generator)
    x.view(-1)[256:512] = 0
    x.view(-1)[512:768] = torch.linspace(-1, 1, 256)
    return x


def main():
    HERE.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    out = {}
    for name, signed in {"first": True, "second": False}.items():
        code = F.create_dynamic_map(signed=signed)
        x = values(generator)
        x = x if signed else x.square()
        codes, scales = nearest(x, code)
        out |= {f"{name}.map": code, f"{name}.values": x, f"{name}.codes": codes.flatten(), f"{name}.scales": scales}
        out[f"{name}.read"] = F.dequantize_blockwise(codes, absmax=scales, code=code, blocksize=256)
    param = torch.nn.Parameter(torch.randn(SHAPE, generator=generator))
    optimizer = bnb.optim.AdamW8bit([param], lr=0.02, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.3)
    out["param"] = param.detach().clone()
    for step in range(1, 3):
        param.grad = torch.randn(SHAPE, generator=generator) * 0.1
        optimizer.step()
        state = optimizer.state[param]
        out |= {f"step{step}.grad": param.grad.clone(), f"step{step}.param": param.detach().clone()}
        for name, of in {"first": "1", "second": "2"}.items():
            assert state[f"state{of}"].dtype == torch.uint8
            out[f"step{step}.{name}.codes"] = state[f"state{of}"].flatten().clone()
            out[f"step{step}.{name}.scales"] = state[f"absmax{of}"].clone()
    path = HERE / "adamw_8bit.safetensors"
    save_file({name: value.contiguous() for name, value in out.items()}, path)
    path.chmod(0o644)


if __name__ == "__main__":
    main()
