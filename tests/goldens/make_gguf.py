"""GGUF files as gguf-py writes them: `gguf/blocks.gguf` has, of each type, blocks and what gguf-py makes of them, and metadata of each type. Run: python make_gguf.py (numpy, gguf)"""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

HERE = Path(__file__).parent / "gguf"
READ = [T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q4_K, T.Q5_K, T.Q6_K]
PACKED = [T.F16, T.BF16, T.Q8_0, T.Q4_0]
# Where the halves of a block are.
HALVES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}


def values(rng):
    """Rows of 512: numbers of many sizes, ties of the largest, halves between two integers, zeros of both signs."""
    x = rng.standard_normal((9, 512)).astype(np.float32)
    x[1] *= 1e-6
    x[2] *= 300
    x[3] = np.round(x[3] * 4) / 2
    x[4, :256], x[4, 256:] = 0, -0.0
    x[5, ::2] = -x[5, 1::2]
    x[6] = np.repeat(rng.choice([-3.0, 3.0], 16), 32)
    x[7] = rng.integers(-127, 128, 512) + 0.5 * rng.integers(0, 2, 512)
    x[7, ::32] = 127
    x[8] = rng.integers(-8, 8, 512) * 0.25
    return x


def blocks(rng, kind):
    """Bytes of 3 rows of 512 values, any but for the halves, which are finite."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (3 * 512 // block, size)).astype(np.uint8)
    if kind in HALVES:
        for at in HALVES[kind]:
            halves = (rng.standard_normal(len(raw)) * 10.0 ** rng.integers(-8, 3, len(raw))).astype(np.float16)
            raw[:, at : at + 2] = halves.view(np.uint8).reshape(-1, 2)
    elif kind == T.F32:
        raw = rng.standard_normal(3 * 512).astype(np.float32).view(np.uint8)
    else:
        # No NaN, whose bits are nobody's promise: an exponent of all ones is made another.
        words = raw.reshape(-1).view(np.uint16)
        mask = 0x7C00 if kind == T.F16 else 0x7F80
        words[(words & mask) == mask] ^= 0x4000
        raw = words.view(np.uint8)
    return raw.reshape(3, -1)


def main():
    HERE.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(HERE / "blocks.gguf", "none")
    for name in ["uint8", "uint16", "uint32", "uint64"]:
        getattr(writer, f"add_{name}")(f"of.{name}", 2 ** int(name[4:]) - 1)
    for name in ["int8", "int16", "int32", "int64"]:
        getattr(writer, f"add_{name}")(f"of.{name}", -(2 ** (int(name[3:]) - 1)))
    writer.add_float32("of.float32", 0.1)
    writer.add_float64("of.float64", 0.1)
    writer.add_bool("of.bool", True)
    writer.add_string("of.string", "naïve 🦀")
    writer.add_array("of.strings", ["a", "", "▁b"])
    writer.add_array("of.ints", [1, -2, 3])
    writer.add_array("of.floats", [0.5, -1000.0])
    writer.add_array("of.bools", [True, False])
    for kind in READ:
        raw = blocks(rng, kind)
        plain = gguf.quants.dequantize(raw, kind).reshape(3, 512)
        writer.add_tensor(f"{kind.name}.blocks", raw, raw_dtype=kind)
        writer.add_tensor(f"{kind.name}.values", plain)
    x = values(rng)
    writer.add_tensor("plain", x)
    for kind in PACKED:
        packed = gguf.quants.quantize(x, kind)
        writer.add_tensor(f"{kind.name}.packed", np.ascontiguousarray(packed).view(np.uint8), raw_dtype=kind)
    # No multiple of the alignment, in three axes.
    writer.add_tensor("axes", np.arange(30, dtype=np.float16).reshape(2, 3, 5))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
