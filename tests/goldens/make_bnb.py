"""What bitsandbytes packs weights as, and what it makes of them: `bnb/blocks.safetensors`.

Run: python make_bnb.py (torch, bitsandbytes, safetensors)
"""

from pathlib import Path

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent / "bnb"
# Of whole blocks, of blocks across rows, of a last block that is not full, of more than 256 blocks.
SHAPES = {"whole": (5, 128), "across": (7, 96), "rest": (6, 37), "many": (129, 128)}


def weight(shape, generator):
    x = torch.randn(shape, generator=generator) * 10.0 ** torch.randint(-3, 2, (shape[0], 1), generator=generator)
    x[0] = torch.round(x[0] * 4) / 4
    x[1, : shape[1] // 2] = 0
    x[2] = 0
    return x


def plain(packed, state):
    """In f32 by the definition: a code's value times its block's scale."""
    scales = state.absmax
    if state.nested:
        scales = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
    codes = torch.stack([packed.flatten() >> 4, packed.flatten() & 15], dim=1).flatten()
    n = state.shape.numel()
    values = state.code[codes[:n].int()]
    return (values * scales.float().repeat_interleave(64)[:n]).reshape(state.shape)


def main():
    HERE.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    out = {}
    for name, shape in SHAPES.items():
        x = weight(shape, generator)
        out[f"{name}.weight"] = x
        for nested in [False, True]:
            packed, state = bnb.quantize_4bit(x, blocksize=64, quant_type="nf4", compress_statistics=nested)
            values = bnb.dequantize_4bit(packed, state)
            if nested:
                values = plain(packed, state)
            elif shape[1] % 64 == 0:
                assert torch.equal(values, plain(packed, state)), name
            else:
                # Its kernel for processors takes each row for whole blocks; other devices' do not.
                values = plain(packed, state)
            key = f"{name}.nested" if nested else name
            parts = {"codes": packed.flatten(), "absmax": state.absmax, "values": values}
            if nested:
                parts |= {"nested_absmax": state.state2.absmax, "nested_quant_map": state.state2.code, "offset": state.offset.reshape(1)}
                parts["scales"] = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
            out |= {f"{key}.{part}": value.contiguous() for part, value in parts.items()}
    x = weight((5, 128), generator)
    codes, scales, _ = bnb.int8_vectorwise_quant(x.half())
    out |= {"int8.codes": codes, "int8.scales": scales, "int8.values": bnb.int8_vectorwise_dequant(codes, scales)}
    save_file(out, HERE / "blocks.safetensors")


if __name__ == "__main__":
    main()
