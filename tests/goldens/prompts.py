"""Prompt tuning and P-Tuning by PEFT, with their gradients: `prompts/NAME`."""

import peft
import torch
from safetensors.torch import load_file

import decoders
import encoders
from common import HERE, fresh, ids, padded, read_json, save, write_json

ENCODER = "../encoders/"
BASES = {"llama": "gqa", "gpt2": "gpt2", "gemma2": "gemma2"} | {
    f: f"{ENCODER}{f}_sequence" for f in ("bert", "roberta", "distilbert", "modernbert")}
# PEFT does not find these sizes in a DistilBERT's config.
SIZES = {"distilbert": dict(token_dim=24, num_attention_heads=4)}
METHODS = {
    "prompt_tuning": lambda **c: peft.PromptTuningConfig(num_virtual_tokens=3, **c),
    "mlp": lambda **c: peft.PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=10, **c),
    "lstm": lambda **c: peft.PromptEncoderConfig(
        num_virtual_tokens=4, encoder_hidden_size=7, encoder_reparameterization_type="LSTM", **c),
}
ALL = ("prompt_tuning", "mlp", "lstm")
PROMPTS = {f"{family}_{method}": (family, method)
           for family, methods in dict(llama=ALL, gpt2=ALL, gemma2=ALL[:1], bert=ALL, roberta=ALL, distilbert=ALL[:1], modernbert=ALL[:1]).items()
           for method in methods}
# The base's own ends in the file, with other values than the base's.
PROMPTS["llama_prompt_tuning_saved"] = ("llama", "prompt_tuning")


def load(base):
    return encoders.load(base.removeprefix(ENCODER)) if base.startswith(ENCODER) else decoders.load(base)


def inputs(model, base):
    x = ids(model.config.vocab_size, low=3)
    mask = padded(x)
    if base.startswith(ENCODER):
        labels = encoders.labels(base.removeprefix(ENCODER))
    else:
        labels = x.masked_fill(mask == 0, -100)
        labels[0, :7], labels[1, :11] = -100, -100
    pad = model.config.pad_token_id or 0
    return dict(input_ids=torch.where(mask == 1, x, pad), attention_mask=mask, labels=labels)


def answer(model, given):
    """Logits of the text's positions, and the model's own loss."""
    out = model(**given)
    logits = out.logits if out.logits.dim() == 2 else out.logits[:, -given["input_ids"].shape[1]:]
    return logits, out.loss


def make_prompt(name):
    family, method = PROMPTS[name]
    base = BASES[family]
    torch.manual_seed(len(name) + 200)
    config = METHODS[method](task_type="SEQ_CLS" if base.startswith(ENCODER) else "CAUSAL_LM", base_model_name_or_path=base, **SIZES.get(family, {}))
    model = peft.get_peft_model(load(base), config).eval()
    with torch.no_grad():
        for p in (p for p in model.parameters() if p.requires_grad):
            p.add_(torch.randn_like(p) * 0.2)
        if name.endswith("saved"):
            for end in (model.base_model.get_input_embeddings(), model.base_model.get_output_embeddings()):
                end.weight.add_(torch.randn_like(end.weight) * 0.2)
    dir = fresh("prompts", name)
    model.save_pretrained(dir, save_embedding_layers=name.endswith("saved") or "auto")
    (dir / "README.md").unlink(missing_ok=True)
    (dir / "base.txt").write_text(base + "\n")
    write_json(read_json(dir / "adapter_config.json") | {"base_model_name_or_path": base}, dir / "adapter_config.json")
    encoder = model.prompt_encoder["default"]
    if method != "prompt_tuning":
        # What PEFT does not keep: the state that `torch.nn.Module.state_dict` gives.
        save(encoder.state_dict(), dir / "prompt_encoder.safetensors")
    given = inputs(model, base)
    logits, loss = answer(model, given)
    loaded, _ = answer(peft.PeftModel.from_pretrained(load(base), dir).eval(), given)
    assert torch.allclose(loaded, logits, atol=1e-5)
    plain, _ = answer(load(base).eval(), given)
    assert (logits - plain).abs().max() > 0.05
    loss.backward()
    grads = {f"grad.{k}": p.grad for k, p in encoder.named_parameters()}
    heads = {k for k in load_file(dir / "adapter_model.safetensors") if k != "prompt_embeddings"}
    trained = {k.replace(".modules_to_save.default", ""): p for k, p in model.named_parameters() if p.requires_grad}
    grads |= {f"grad.{k}": trained[k].grad for k in heads if k in trained}
    assert len(grads) == len(trained)
    save(given | {"logits": logits, "loss": loss.reshape(1)} | grads, dir / "expected.safetensors")
    print("prompt", name, sum(f.stat().st_size for f in dir.iterdir()), f"{len(grads)} tensors trained, loss {loss.item():.4f}")
