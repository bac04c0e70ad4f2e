"""PEFT's adapters of classifiers and of feature extractors, with their head in each of the places where it can be: `heads/NAME`.

`python heads.py` makes the goldens; `python heads.py NAME DIR` loads DIR, a model that `peft merge` wrote of that adapter, by transformers and
compares what it computes with the golden.
"""

import sys
import warnings
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification

from common import HERE, fresh, ids, padded, read_json, save, write_json

L, QV = peft.LoraConfig, ["query", "value"]
TEXTS, WORDS = AutoModelForSequenceClassification, AutoModelForTokenClassification


def lora(task, targets=QV, **fields):
    return L(r=3, lora_alpha=8, task_type=task, target_modules=targets, **fields)


# The base, the class that reads it, the labels of a fresh head, the adapter, and whether its config
# does not name the head.
CASES = {
    # As PEFT writes it now: the head is in the file and named; the base has none.
    "fresh_head": ("bert", TEXTS, 4, lora("SEQ_CLS"), False),
    # As PEFT wrote it once: the head is in the file and not named.
    "unnamed_head": ("bert_sequence", TEXTS, None, lora("SEQ_CLS"), True),
    "unnamed_fresh_head": ("bert", TEXTS, 4, lora("SEQ_CLS"), True),
    # The base's own head, which nothing of the directory speaks of.
    "base_head": ("bert_sequence", TEXTS, None, lora(None), False),
    "fresh_head_of_tokens": ("roberta", WORDS, 5, lora("TOKEN_CLS"), False),
    "roberta_fresh_head": ("roberta", TEXTS, 2, lora("SEQ_CLS", "all-linear"), False),
    "ia3": ("distilbert", TEXTS, 3, peft.IA3Config(
        task_type="SEQ_CLS", target_modules=["k_lin", "v_lin", "lin2"], feedforward_modules=["lin2"],
        modules_to_save=["pre_classifier"]), False),
    # Features, of a base that is bare and of one whose head they leave aside.
    "features": ("bert", AutoModel, None, lora("FEATURE_EXTRACTION"), False),
    "features_of_classifier": ("bert_sequence", AutoModel, None, lora("FEATURE_EXTRACTION"), False),
    "features_of_no_task": ("modernbert", AutoModel, None, lora(None, ["Wqkv", "Wo"]), False),
}


def load(name):
    base, kind, labels, _, _ = CASES[name]
    torch.manual_seed(3)  # the head that the adapter replaces
    fields = {} if labels is None else dict(num_labels=labels)
    return kind.from_pretrained(
        HERE / "encoders" / base, attn_implementation="eager", dtype=torch.float32, **fields).eval()


def answer(model):
    x = ids(low=3)
    mask = padded(x)
    given = dict(input_ids=torch.where(mask == 1, x, model.config.pad_token_id), attention_mask=mask)
    with torch.no_grad():
        out = model(**given)
    # What a position of padding has is nobody's.
    outputs = dict(hidden=out.last_hidden_state) if "last_hidden_state" in out else dict(logits=out.logits)
    outputs = {k: v * mask[..., None] if v.dim() == 3 else v for k, v in outputs.items()}
    return given | outputs


def make(name):
    base, _, _, config, unnamed = CASES[name]
    torch.manual_seed(len(name) + 300)
    config.base_model_name_or_path = base
    model = peft.get_peft_model(load(name), config)
    with torch.no_grad():
        for p in (p for p in model.parameters() if p.requires_grad):
            p.add_(torch.randn_like(p) * 0.2)
    dir = fresh("heads", name)
    model.save_pretrained(dir)
    (dir / "README.md").unlink(missing_ok=True)
    (dir / "base.txt").write_text(base + "\n")
    saved = read_json(dir / "adapter_config.json") | {"base_model_name_or_path": base}
    for field in ("target_modules", "modules_to_save", "feedforward_modules"):
        saved[field] = sorted(set(saved[field])) if isinstance(saved.get(field), list) else saved.get(field)
    if unnamed:
        saved["modules_to_save"] = None
    write_json({k: v for k, v in saved.items() if v is not None or k in ("modules_to_save", "task_type")}, dir / "adapter_config.json")
    adapted = peft.PeftModel.from_pretrained(load(name), dir).eval()
    out = answer(adapted)
    result = "hidden" if "hidden" in out else "logits"
    assert not torch.allclose(out[result], answer(load(name))[result], atol=1e-2)
    merged = answer(adapted.merge_and_unload())
    torch.testing.assert_close(merged[result], out[result], rtol=1e-4, atol=1e-4)
    save(out, dir / "expected.safetensors")
    print("head", name, sum(f.stat().st_size for f in dir.iterdir()), tuple(out[result].shape))


def check(name, dir):
    model, info = CASES[name][1].from_pretrained(dir, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    out, golden = answer(model.eval()), load_file(HERE / "heads" / name / "expected.safetensors")
    result = "hidden" if "hidden" in out else "logits"
    torch.testing.assert_close(out[result], golden[result], rtol=1e-4, atol=1e-4)
    print(f"{name}: {type(model).__name__}, at most {(out[result] - golden[result]).abs().max():.1e} from PEFT's")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if len(sys.argv) > 2:
        check(sys.argv[1], Path(sys.argv[2]))
    else:
        for name in CASES:
            make(name)
