"""Tiny random encoders, bare and with heads, with what transformers computes for them: `encoders/NAME`."""

import torch
import transformers
from transformers import AutoConfig, BertConfig, DistilBertConfig, ModernBertConfig, RobertaConfig, XLMRobertaConfig

from common import HERE, SEQ, VOCAB, fresh, ids, padded, rand_, read_json, save, write_json

COMMON = dict(vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=36)
CONFIGS = {
    "bert": lambda **c: BertConfig(**COMMON, max_position_embeddings=32, **c),
    "roberta": lambda **c: RobertaConfig(**COMMON, max_position_embeddings=32, type_vocab_size=1, layer_norm_eps=1e-5, **c),
    "xlm_roberta": lambda **c: XLMRobertaConfig(
        **{**COMMON, "hidden_act": "gelu_new"}, max_position_embeddings=32, type_vocab_size=1, layer_norm_eps=1e-5, **c),
    "distilbert": lambda **c: DistilBertConfig(
        vocab_size=VOCAB, dim=24, n_layers=2, n_heads=4, hidden_dim=36, max_position_embeddings=32, **c),
    "modernbert": lambda **c: ModernBertConfig(**{
        **COMMON, "num_hidden_layers": 3, "local_attention": 8, "global_attn_every_n_layers": 2, "pad_token_id": 0, "bos_token_id": 1,
        "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2, "rope_parameters": dict(
            full_attention=dict(rope_type="default", rope_theta=1000.0), sliding_attention=dict(rope_type="default", rope_theta=20.0)), **c}),
}
CLASSES = dict(bert="Bert", roberta="Roberta", xlm_roberta="XLMRoberta", distilbert="DistilBert", modernbert="ModernBert")
THREE = dict(id2label={0: "bad", 1: "fair", 2: "good"}, label2id={"bad": 0, "fair": 1, "good": 2})
FIVE = dict(id2label=dict(enumerate("OPLMX")), label2id={c: i for i, c in enumerate("OPLMX")})
SINGLE = dict(**THREE, problem_type="single_label_classification")
SEQUENCE, TOKEN = "ForSequenceClassification", "ForTokenClassification"
# name: (family, what follows the family's name in the class, changes to the config)
MODELS = {
    "bert": ("bert", "Model", {}),
    # As first released: `gamma` and `beta`, `bert.` before each name, the pre-training heads, a buffer.
    "bert_old": ("bert", "Model", {}),
    "bert_sequence": ("bert", SEQUENCE, SINGLE),
    "bert_multi_label": ("bert", SEQUENCE, dict(**THREE, problem_type="multi_label_classification")),
    "bert_regression": ("bert", SEQUENCE, dict(id2label={0: "score"}, label2id={"score": 0}, problem_type="regression")),
    "bert_token": ("bert", TOKEN, FIVE),
    "roberta": ("roberta", "Model", {}),
    "roberta_sequence": ("roberta", SEQUENCE, SINGLE),
    "roberta_token": ("roberta", TOKEN, FIVE),
    "xlm_roberta": ("xlm_roberta", "Model", {}),
    "xlm_roberta_sequence": ("xlm_roberta", SEQUENCE, THREE),  # no `problem_type`: the labels decide
    "distilbert": ("distilbert", "Model", {}),
    "distilbert_sequence": ("distilbert", SEQUENCE, SINGLE),
    "distilbert_token": ("distilbert", TOKEN, FIVE),
    "modernbert": ("modernbert", "Model", {}),
    "modernbert_sequence": ("modernbert", SEQUENCE, SINGLE),
    "modernbert_sequence_mean": ("modernbert", SEQUENCE, dict(
        **SINGLE, classifier_pooling="mean", classifier_bias=True, norm_bias=True, mlp_bias=True, attention_bias=True)),
    "modernbert_token": ("modernbert", TOKEN, FIVE),
}


def config(name):
    family, _, changes = MODELS[name]
    return CONFIGS[family](**changes)


def load(name, dtype=torch.float32):
    family, kind, _ = MODELS[name]
    return getattr(transformers, CLASSES[family] + kind).from_pretrained(
        HERE / "encoders" / name, attn_implementation="eager", dtype=dtype).eval()


def labels(name):
    """Labels of two rows for the head of `name`."""
    _, kind, changes = MODELS[name]
    if kind == TOKEN:
        given = torch.randint(0, 5, (2, SEQ), generator=torch.Generator().manual_seed(8))
        given[:, 0], given[1, -5:] = -100, -100
        return given
    problem = changes.get("problem_type")
    if problem == "regression":
        return torch.tensor([0.4, -1.3])
    return torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]) if problem == "multi_label_classification" else torch.tensor([2, 0])


def old_config(name, config):
    """ModernBERT's config in the spelling of its first release, or None."""
    if name != "modernbert":
        return None
    rope = config.pop("rope_parameters")
    config.pop("layer_types")
    return config | dict(global_attn_every_n_layers=2, global_rope_theta=rope["full_attention"]["rope_theta"],
                         local_rope_theta=rope["sliding_attention"]["rope_theta"])


def write_old_bert(model, dir):
    d, v = model.config.hidden_size, model.config.vocab_size
    state = {"bert." + k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
             for k, t in model.state_dict().items()}
    state["bert.embeddings.position_ids"] = torch.arange(model.config.max_position_embeddings)[None]
    heads = {"predictions.bias": (v,), "predictions.transform.dense.weight": (d, d), "predictions.transform.dense.bias": (d,),
             "predictions.transform.LayerNorm.gamma": (d,), "predictions.transform.LayerNorm.beta": (d,),
             "seq_relationship.weight": (2, d), "seq_relationship.bias": (2,)}
    state |= {"cls." + k: torch.randn(s) for k, s in heads.items()}
    save(state, dir / "model.safetensors")
    write_json(read_json(dir / "config.json") | dict(architectures=["BertForPreTraining"]), dir / "config.json")


def make_model(name):
    family, kind, _ = MODELS[name]
    torch.manual_seed(len(name))
    settings = config(name)
    settings._attn_implementation = "eager"
    model = getattr(transformers, CLASSES[family] + kind)(settings).eval()
    rand_(model, std=0.2)
    dir = fresh("encoders", name)
    model.save_pretrained(dir)
    if name == "bert_old":
        write_old_bert(model, dir)
    old = old_config(name, read_json(dir / "config.json"))
    if old:
        write_json(old, dir / "config.old.json")
    x = ids(low=3)
    mask = padded(x)
    out = {"input_ids": x, "padded_attention_mask": mask, "padded_input_ids": torch.where(mask == 1, x, settings.pad_token_id)}
    given = dict(input_ids=out["padded_input_ids"], attention_mask=mask)
    with torch.no_grad():
        if kind == "Model":
            out["hidden"] = load(name)(x).last_hidden_state
            out["padded_hidden"] = load(name)(**given).last_hidden_state
            out["mean_pooled"] = (out["padded_hidden"] * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            result, low = out["hidden"], load(name, torch.bfloat16)(x).last_hidden_state.float()
            out["hidden_bf16"] = low
            if family == "bert":
                out["token_type_ids"] = (torch.arange(SEQ) >= 10).long().expand(2, SEQ)
                out["typed_hidden"] = load(name)(x, token_type_ids=out["token_type_ids"]).last_hidden_state
            if "roberta" in family:  # which does not count its padding token
                out["literal_input_ids"] = x.clone()
                out["literal_input_ids"][:, [0, 3, 4]] = settings.pad_token_id
                out["literal_input_ids"][1, 9] = settings.pad_token_id
                out["literal_hidden"] = load(name)(out["literal_input_ids"]).last_hidden_state
            for setting, value in (("config.old.json", old),):
                if value:
                    other = getattr(transformers, CLASSES[family] + kind).from_pretrained(
                        dir, config=AutoConfig.for_model(**value), attn_implementation="eager", dtype=torch.float32).eval()
                    assert torch.equal(other(x).last_hidden_state, out["hidden"]), setting
        else:
            out["labels"] = labels(name)
            answer = load(name)(**given, labels=out["labels"])
            out |= {"logits": load(name)(x).logits, "padded_logits": answer.logits, "loss": answer.loss.reshape(1)}
            result, low = out["padded_logits"], load(name, torch.bfloat16)(**given).logits.float()
            out["padded_logits_bf16"] = low
        assert torch.equal(model(x)[0], load(name)(x)[0])
    save(out, dir / "expected.safetensors")
    top = result.abs().max()
    print("encoder", name, sum(f.stat().st_size for f in dir.iterdir()), f"max {top:.2f}, bf16 apart by {((low - result).abs().max() / top):.1e}")
