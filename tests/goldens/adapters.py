"""PEFT adapters on those models, their gradients and one step: `adapters/NAME`."""

import re

import peft
import torch
from peft.tuners.boft import layer as boft_layer
from peft.tuners.c3a import layer as c3a_layer
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import load_file
from transformers import BertForSequenceClassification, RobertaForSequenceClassification

import decoders
import encoders
from common import HERE, fresh, ids, padded, read_json, save, write_json

L = peft.LoraConfig
QV = ["q_proj", "v_proj"]
QKVO = ["q_proj", "k_proj", "v_proj", "o_proj"]
IA3 = dict(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"])
ADAPTERS = {
    "lora_attn": ("gqa", L(r=4, lora_alpha=10, target_modules=QV)),
    "lora_all_linear": ("biased", L(r=3, lora_alpha=8, target_modules="all-linear")),
    "lora_rslora": ("gqa", L(r=4, lora_alpha=6, use_rslora=True, target_modules=QV)),
    "lora_patterns": ("gqa", L(r=4, lora_alpha=6, target_modules=["q_proj", "down_proj"],
                               rank_pattern={"model.layers.0.self_attn.q_proj": 2, "down_proj": 5},
                               alpha_pattern={"down_proj": 9})),
    "lora_embedding": ("gqa", L(r=4, lora_alpha=6, target_modules=["embed_tokens", "q_proj"])),
    "lora_embedding_tied": ("tied", L(r=4, lora_alpha=6, target_modules=["embed_tokens", "q_proj"])),
    # An adapter on a tied output layer unties it.
    "lora_head_tied": ("tied", L(r=4, lora_alpha=6, target_modules=["lm_head", "q_proj"])),
    "lora_ends_tied": ("tied", L(r=4, lora_alpha=6, target_modules=["embed_tokens", "lm_head"])),
    "lora_whole_head_tied": ("tied", L(r=4, lora_alpha=6, target_modules=QV, modules_to_save=["lm_head"])),
    "lora_whole_ends_tied": ("tied", L(r=4, lora_alpha=6, target_modules=QV, modules_to_save=["embed_tokens", "lm_head"])),
    # The base's own ends in the file, with other values than the base's: PEFT puts them over it.
    "lora_saved_ends": ("gqa", L(r=4, lora_alpha=6, target_modules=QV)),
    "lora_saved_ends_tied": ("tied", L(r=4, lora_alpha=6, target_modules=QV)),
    "lora_saved_embedding": ("gqa", L(r=4, lora_alpha=6, target_modules=["embed_tokens", "q_proj"])),
    "lora_saved_head_tied": ("tied", L(r=4, lora_alpha=6, target_modules=["lm_head", "q_proj"])),
    "lora_layers": ("gqa", L(r=4, lora_alpha=6, target_modules=QV, layers_to_transform=[1])),
    "lora_modules_to_save": ("gqa", L(r=4, lora_alpha=6, target_modules=QV, modules_to_save=["lm_head"])),
    "lora_bias_all": ("biased", L(r=4, lora_alpha=6, target_modules=QV, bias="all")),
    "lora_bias_only": ("biased", L(r=4, lora_alpha=6, target_modules=QV, bias="lora_only")),
    "lora_regex": ("gqa", L(r=4, lora_alpha=6, target_modules=r".*\.1\.(self_attn|mlp)\.(k|up)_proj")),
    # Python's own expressions: look-around, a group's name, the end of a text.
    "lora_lookaround": ("gqa", L(r=4, lora_alpha=6, target_modules=r"(?!.*mlp).*(?P<x>[qv])_proj(?<!1\.self_attn\.v_proj)\Z",
                                 rank_pattern={r"(?<=0\.self_attn\.)q_proj": 2}, alpha_pattern={r"(\w)_proj(?<!q_proj)": 9})),
    "lora_exclude": ("gqa", L(r=4, lora_alpha=6, target_modules=QV, exclude_modules=r".*\.0\..*q_proj")),
    "lora_orthogonal": ("gqa", L(r=4, lora_alpha=6, target_modules=QV, init_lora_weights="orthogonal")),
    "lora_b_bias": ("biased", L(r=4, lora_alpha=6, target_modules=["q_proj", "down_proj"], lora_bias=True)),
    # Its step is that of PEFT's groups of parameters.
    "lora_plus": ("biased", L(r=4, lora_alpha=6, target_modules=["embed_tokens", "q_proj"], bias="lora_only")),
    "dora_attn": ("gqa", L(r=4, lora_alpha=10, target_modules=QV, use_dora=True)),
    "dora_all_linear": ("biased", L(r=3, lora_alpha=8, target_modules="all-linear", use_dora=True)),
    "dora_rslora": ("gqa", L(r=4, lora_alpha=6, use_rslora=True, target_modules=["q_proj", "down_proj"], rank_pattern={"down_proj": 2},
                             use_dora=True)),
    "dora_embedding": ("gqa", L(r=4, lora_alpha=6, target_modules=["embed_tokens", "q_proj"], use_dora=True)),
    "dora_embedding_tied": ("tied", L(r=4, lora_alpha=6, target_modules=["embed_tokens", "q_proj"], use_dora=True)),
    "adalora_attn": ("gqa", peft.AdaLoraConfig(init_r=4, target_r=2, lora_alpha=6, total_step=10, target_modules=QV)),
    # Of one layer nothing is left.
    "adalora_ranks": ("biased", peft.AdaLoraConfig(init_r=4, target_r=2, lora_alpha=6, total_step=10, target_modules=["q_proj", "down_proj"])),
    # Rows of the embedding; a tied output layer has them too.
    "tokens": ("gqa", peft.TrainableTokensConfig(token_indices=[3, 7, 90, 11], target_modules=["embed_tokens"])),
    "tokens_tied": ("tied", peft.TrainableTokensConfig(token_indices=[3, 7, 90, 11])),
    "lora_tokens": ("gqa", L(r=4, lora_alpha=6, target_modules=QV, trainable_token_indices=[3, 7, 90, 11])),
    "lora_tokens_tied": ("tied", L(r=4, lora_alpha=6, target_modules=QV, trainable_token_indices={"embed_tokens": [3, 7, 90, 11]})),
    "loha_attn": ("gqa", peft.LoHaConfig(r=3, alpha=8, target_modules=QV)),
    # A rank whose square is so large that the dense change is less work.
    "loha_all_linear": ("biased", peft.LoHaConfig(r=2, alpha=6, target_modules="all-linear", rank_pattern={"up_proj": 6}, alpha_pattern={"k_proj": 3})),
    "lokr_attn": ("gqa", peft.LoKrConfig(r=1, alpha=3, target_modules=QV)),
    "lokr_all_linear": ("biased", peft.LoKrConfig(r=16, alpha=24, decompose_factor=4, target_modules="all-linear")),
    "lokr_both": ("gqa", peft.LoKrConfig(r=1, alpha=3, decompose_both=True, target_modules=QKVO, rank_pattern={"o_proj": 2}, init_weights="lycoris")),
    "vera_attn": ("gqa", peft.VeraConfig(r=6, target_modules=QV)),
    # The matrices are those of the seed.
    "vera_all_linear": ("biased", peft.VeraConfig(r=5, d_initial=0.5, projection_prng_key=7, save_projection=False, bias="vera_only", target_modules="all-linear")),
    "randlora_attn": ("gqa", peft.RandLoraConfig(r=3, randlora_alpha=8, target_modules=QV)),
    "randlora_all_linear": ("biased", peft.RandLoraConfig(r=4, randlora_alpha=8, projection_prng_key=3, target_modules="all-linear")),
    "vblora_attn": ("gqa", peft.VBLoRAConfig(r=3, num_vectors=12, vector_length=4, target_modules=QV)),
    "vblora_all_linear": ("biased", peft.VBLoRAConfig(r=2, num_vectors=20, vector_length=4, topk=3, bias="vblora_only", target_modules="all-linear")),
    # A file that has what is mixed alone.
    "vblora_top_k": ("gqa", peft.VBLoRAConfig(r=2, num_vectors=10, vector_length=4, save_only_topk_weights=True, target_modules=QV)),
    "oft_attn": ("gqa", peft.OFTConfig(oft_block_size=4, target_modules=QV)),
    "oft_exact": ("biased", peft.OFTConfig(r=2, oft_block_size=0, use_cayley_neumann=False, bias="oft_only", target_modules="all-linear")),
    "oft_shared": ("gqa", peft.OFTConfig(oft_block_size=8, block_share=True, num_cayley_neumann_terms=3, target_modules=["o_proj", "down_proj"])),
    "boft_attn": ("biased", peft.BOFTConfig(boft_block_size=4, target_modules=["q_proj", "down_proj"])),
    "boft_butterfly": ("gqa", peft.BOFTConfig(boft_block_size=4, boft_n_butterfly_factor=2, target_modules=["q_proj", "o_proj"])),
    "hra_attn": ("gqa", peft.HRAConfig(r=4, target_modules=QV)),
    "hra_all_linear": ("biased", peft.HRAConfig(r=3, target_modules="all-linear")),
    "road_attn": ("gqa", peft.RoadConfig(group_size=4, target_modules=QV)),
    "road_2": ("biased", peft.RoadConfig(variant="road_2", group_size=2, target_modules=["q_proj", "up_proj"])),
    "road_4": ("biased", peft.RoadConfig(variant="road_4", group_size=4, target_modules=["q_proj", "down_proj"])),
    # Runs of inputs of which the last is cut short.
    "miss_attn": ("gqa", peft.MissConfig(r=5, target_modules=QV)),
    "miss_mini": ("biased", peft.MissConfig(r=16, mini_r=2, init_weights="mini", target_modules=["q_proj", "up_proj"])),
    "hira_attn": ("gqa", peft.HiraConfig(r=3, target_modules=QV)),
    "hira_all_linear": ("biased", peft.HiraConfig(r=2, target_modules="all-linear")),
    "delora_attn": ("gqa", peft.DeloraConfig(r=3, delora_lambda=6, target_modules=QV)),
    "delora_all_linear": ("biased", peft.DeloraConfig(r=2, delora_lambda=5, target_modules="all-linear", bias="delora_only",
                                                      rank_pattern={"up_proj": 4}, lambda_pattern={"k_proj": 3})),
    "gralora_attn": ("gqa", peft.GraloraConfig(r=4, alpha=6, gralora_k=2, target_modules=QV)),
    "gralora_hybrid": ("biased", peft.GraloraConfig(r=8, alpha=6, gralora_k=4, hybrid_r=2, target_modules="all-linear")),
    "shira_attn": ("gqa", peft.ShiraConfig(r=1, random_seed=5, target_modules=QV)),
    "shira_all_linear": ("biased", peft.ShiraConfig(r=2, target_modules="all-linear")),
    "fourierft_attn": ("gqa", peft.FourierFTConfig(n_frequency=20, scaling=90, target_modules=QV)),
    # So many that the dense change is less work.
    "fourierft_all_linear": ("biased", peft.FourierFTConfig(
        n_frequency=6, random_loc_seed=5, target_modules="all-linear", n_frequency_pattern={"up_proj": 40})),
    "c3a_attn": ("gqa", peft.C3AConfig(block_size=4, target_modules=QV)),
    "c3a_all_linear": ("biased", peft.C3AConfig(block_size=1, target_modules="all-linear", block_size_pattern={"up_proj": 8, "q_proj": 16})),
    "waveft_attn": ("gqa", peft.WaveFTConfig(n_frequency=20, scaling=3, target_modules=QV)),
    "waveft_all_linear": ("biased", peft.WaveFTConfig(
        n_frequency=12, scaling=4, wavelet_family="db3", random_loc_seed=5, target_modules="all-linear", n_frequency_pattern={"up_proj": 30})),
    "waveft_proportional": ("biased", peft.WaveFTConfig(
        n_frequency=12, scaling=2, wavelet_family="coif1", proportional_parameters=True, target_modules=["k_proj", "down_proj"])),
    "waveft_places": ("gqa", peft.WaveFTConfig(n_frequency=15, scaling=2, use_idwt=False, target_modules=["k_proj", "o_proj"])),
    "ia3_default": ("gqa", peft.IA3Config(**IA3)),
    "ia3_biased": ("biased", peft.IA3Config(**IA3)),
}
for base in ("mistral", "qwen2", "qwen3", "gemma2", "gemma3"):
    ADAPTERS[f"{base}_lora_attn"] = (base, L(r=3, lora_alpha=8, target_modules=QKVO))
    ADAPTERS[f"{base}_lora_all_linear"] = (base, L(r=2, lora_alpha=5, target_modules="all-linear"))
ADAPTERS |= {
    # Fused layers: one adapter spans what they fuse.
    "phi3_lora_attn": ("phi3", L(r=3, lora_alpha=8, target_modules=["qkv_proj", "o_proj"])),
    "phi3_lora_all_linear": ("phi3", L(r=2, lora_alpha=5, target_modules="all-linear")),
    # `c_proj` of the attention only; weights on disk are [in, out].
    "gpt2_lora_attn": ("gpt2", L(r=3, lora_alpha=8, target_modules=["c_attn", "attn.c_proj"], fan_in_fan_out=True)),
    "gpt2_lora_all_linear": ("gpt2", L(r=2, lora_alpha=5, target_modules="all-linear")),
    "gpt2_lora_embedding": ("gpt2", L(r=3, lora_alpha=8, target_modules=["wte", "c_fc"])),
    "gpt2_lora_saved_ends": ("gpt2", L(r=3, lora_alpha=8, target_modules=["c_fc"])),
    "gpt2_lora_head": ("gpt2", L(r=3, lora_alpha=8, target_modules=["lm_head", "c_fc"])),
    "gpt2_adalora": ("gpt2", peft.AdaLoraConfig(
        init_r=3, target_r=2, lora_alpha=8, total_step=10, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)),
    "gpt2_lora_tokens": ("gpt2", L(r=3, lora_alpha=8, target_modules=["c_fc"], trainable_token_indices=[5, 2, 40])),
    "gpt2_vera": ("gpt2", peft.VeraConfig(r=4, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)),
    "gpt2_vblora": ("gpt2", peft.VBLoRAConfig(r=2, num_vectors=9, vector_length=4, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)),
    "gpt2_gralora": ("gpt2", peft.GraloraConfig(r=4, alpha=6, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)),
    "gpt2_fourierft": ("gpt2", peft.FourierFTConfig(n_frequency=20, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)),
    "gpt2_waveft": ("gpt2", peft.WaveFTConfig(n_frequency=20, scaling=3, wavelet_family="sym3", target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)),
    "gpt2_dora_all_linear": ("gpt2", L(r=2, lora_alpha=5, target_modules="all-linear", use_dora=True)),
    # Norms that train whole where all biases do.
    "gpt2_lora_bias_all": ("gpt2", L(r=3, lora_alpha=8, target_modules=["c_attn"], bias="all", modules_to_save=["ln_f", "ln_1"])),
    # The embedding's adapter is scaled as the embedding is.
    "gemma2_lora_embedding": ("gemma2", L(r=3, lora_alpha=8, target_modules=["embed_tokens", "q_proj"])),
}


def cls(r=3, alpha=8, **fields):
    return L(r=r, lora_alpha=alpha, task_type="SEQ_CLS", **fields)


ENCODER = "../encoders/"
ADAPTERS |= {
    "bert_lora_sequence": (ENCODER + "bert_sequence", cls(target_modules=["query", "value"])),
    "bert_lora_multi_label": (ENCODER + "bert_multi_label", cls(2, 5, target_modules="all-linear")),
    "bert_lora_regression": (ENCODER + "bert_regression", cls(2, 5, target_modules=["query", "dense"])),
    "bert_lora_token": (ENCODER + "bert_token", L(r=3, lora_alpha=8, task_type="TOKEN_CLS", target_modules=["query", "key"])),
    # A head that trains whole where all biases do: PEFT saves its bias three times.
    "bert_lora_bias_all": (ENCODER + "bert_sequence", cls(target_modules=["query", "value"], bias="all")),
    "bert_lora_features": (ENCODER + "bert", L(r=3, lora_alpha=8, task_type="FEATURE_EXTRACTION", target_modules=["query", "value", "word_embeddings"])),
    # The checkpoint has no head: three labels on a fresh one.
    "bert_lora_fresh_head": (ENCODER + "bert", cls(target_modules=["query", "value"])),
    "roberta_lora_fresh_head": (ENCODER + "roberta", cls(target_modules=["query", "value"])),
    "bert_adalora_sequence": (ENCODER + "bert_sequence", peft.AdaLoraConfig(
        # With its penalty the model's own loss would be another than that of the rows.
        init_r=3, target_r=2, lora_alpha=8, total_step=10, orth_reg_weight=0.0, task_type="SEQ_CLS", target_modules=["query", "value"])),
    "bert_loha_sequence": (ENCODER + "bert_sequence", peft.LoHaConfig(r=2, alpha=6, task_type="SEQ_CLS", target_modules=["query", "dense"])),
    "modernbert_lokr_all_linear": (ENCODER + "modernbert_sequence_mean", peft.LoKrConfig(r=2, alpha=6, task_type="SEQ_CLS", target_modules="all-linear")),
    "bert_vera_sequence": (ENCODER + "bert_sequence", peft.VeraConfig(r=5, task_type="SEQ_CLS", target_modules=["query", "dense"])),
    "bert_vblora_sequence": (ENCODER + "bert_sequence", peft.VBLoRAConfig(r=2, num_vectors=9, vector_length=4, task_type="SEQ_CLS", target_modules=["query", "dense"])),
    "bert_oft_sequence": (ENCODER + "bert_sequence", peft.OFTConfig(oft_block_size=4, task_type="SEQ_CLS", target_modules=["query", "dense"])),
    "bert_hra_sequence": (ENCODER + "bert_sequence", peft.HRAConfig(r=2, task_type="SEQ_CLS", target_modules=["query", "dense"])),
    "bert_road_sequence": (ENCODER + "bert_sequence", peft.RoadConfig(group_size=4, task_type="SEQ_CLS", target_modules=["query", "dense"])),
    "bert_miss_sequence": (ENCODER + "bert_sequence", peft.MissConfig(r=3, task_type="SEQ_CLS", target_modules=["query", "dense"])),
    "bert_delora_sequence": (ENCODER + "bert_sequence", peft.DeloraConfig(r=3, task_type="SEQ_CLS", target_modules=["query", "dense"])),
    "bert_gralora_sequence": (ENCODER + "bert_sequence", peft.GraloraConfig(r=2, alpha=4, task_type="SEQ_CLS", target_modules=["query", "dense"])),
    "bert_shira_sequence": (ENCODER + "bert_sequence", peft.ShiraConfig(r=1, task_type="SEQ_CLS", target_modules=["query", "dense"])),
    # A wave that is one for all outputs is nothing after a norm.
    "bert_fourierft_sequence": (ENCODER + "bert_sequence", peft.FourierFTConfig(n_frequency=20, random_loc_seed=3, task_type="SEQ_CLS", target_modules=["query", "dense"])),
    "bert_c3a_sequence": (ENCODER + "bert_sequence", peft.C3AConfig(block_size=4, task_type="SEQ_CLS", target_modules=["query", "dense"])),
    "bert_waveft_sequence": (ENCODER + "bert_sequence", peft.WaveFTConfig(n_frequency=20, scaling=2, wavelet_family="db2", task_type="SEQ_CLS", target_modules=["query", "dense"])),
    "bert_dora_sequence": (ENCODER + "bert_sequence", cls(target_modules=["query", "dense"], use_dora=True)),
    "modernbert_dora_all_linear": (ENCODER + "modernbert_sequence_mean", cls(2, 5, target_modules="all-linear", use_dora=True)),
    "bert_lora_b_bias": (ENCODER + "bert_sequence", cls(target_modules=["query", "value"], lora_bias=True)),
    "roberta_lora_sequence": (ENCODER + "roberta_sequence", cls(2, 5, target_modules="all-linear")),
    "xlm_roberta_lora_sequence": (ENCODER + "xlm_roberta_sequence", cls(target_modules=["query", "key", "value"])),
    "distilbert_lora_sequence": (ENCODER + "distilbert_sequence", cls(target_modules=["q_lin", "v_lin"], modules_to_save=["pre_classifier"])),
    # PEFT saves `pre_classifier` whole (its name ends in `classifier`) and fails where that is a target as well.
    "distilbert_lora_all_linear": (
        ENCODER + "distilbert_sequence", cls(2, 5, target_modules="all-linear", exclude_modules=["pre_classifier"])),
    "modernbert_lora_sequence": (ENCODER + "modernbert_sequence", cls(target_modules=["Wqkv"])),
    "modernbert_lora_all_linear": (ENCODER + "modernbert_sequence_mean", cls(2, 5, target_modules="all-linear")),
}


class BlockDiagonal:
    """What PEFT's CUDA extension computes; without it PEFT makes BOFT of one factor, whatever is asked."""

    @staticmethod
    def apply(blocks):
        return torch.stack([torch.block_diag(*factor.unbind()) for factor in blocks])


class BlockCircularConvolution:
    """What PEFT computes, with the gradient of it: PEFT's own of the inputs has each block turned the wrong way."""

    @staticmethod
    def apply(x, w):
        m, n, b = w.shape
        y = torch.einsum("...nb,mnb->...mb", torch.fft.ifft(x.reshape(*x.shape[:-1], n, b)), torch.fft.fft(w))
        return torch.fft.fft(y).real.flatten(-2)


c3a_layer.BlockCircularConvolution = BlockCircularConvolution
boft_layer.get_fbd_cuda = lambda: True
boft_layer.FastBlockDiag = BlockDiagonal


def load(name, base):
    if name.endswith("fresh_head"):
        torch.manual_seed(3)  # the head that the adapter replaces
        kind = BertForSequenceClassification if name.startswith("bert") else RobertaForSequenceClassification
        return kind.from_pretrained(HERE / "models" / base, num_labels=3, attn_implementation="eager", dtype=torch.float32)
    return encoders.load(base.removeprefix(ENCODER)) if base.startswith(ENCODER) else decoders.load(base)


def answer(model, name, base):
    """Inputs, outputs and the loss."""
    if not base.startswith(ENCODER):
        x = ids(model.config.vocab_size, low=0 if base in decoders.FIRST else 1)
        labels = x.clone()
        labels[0, :7] = -100
        labels[1, :11] = -100
        logits = model(x).logits
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1), ignore_index=-100)
        return {"input_ids": x, "labels": labels, "logits": logits}, loss
    x = ids(low=3)
    if name.endswith("features"):
        hidden = model(x).last_hidden_state
        return {"input_ids": x, "hidden": hidden}, hidden.pow(2).mean()
    mask = padded(x)
    given = dict(input_ids=torch.where(mask == 1, x, model.config.pad_token_id), attention_mask=mask)
    labels = torch.tensor([2, 0]) if name.endswith("fresh_head") else encoders.labels(base.removeprefix(ENCODER))
    out = model(**given, labels=labels)
    return given | {"labels": labels, "logits": out.logits}, out.loss


def make_adapter(name):
    base, config = ADAPTERS[name]
    torch.manual_seed(len(name) + 100)
    config.task_type = config.task_type or "CAUSAL_LM"
    config.base_model_name_or_path = base
    model = peft.get_peft_model(load(name, base), config)
    with torch.no_grad():
        for p in (p for p in model.parameters() if p.requires_grad):
            p.add_(torch.randn_like(p) * 0.2)
        if "saved" in name:
            ends = {id(end): end for end in (model.get_input_embeddings(), model.get_output_embeddings())}.values()
            weights = {id(w): w for w in (getattr(end, "base_layer", end).weight for end in ends)}.values()
            for w in weights:
                w.add_(torch.randn_like(w) * 0.2)
    if name == "adalora_ranks":
        keep = [[True, False, True, False], [True] * 4, [False, True, True, True], [False] * 4]
        layers = [n for n, _ in model.named_parameters() if "lora_E" in n]
        model.peft_config["default"].rank_pattern = {n.removeprefix("base_model.model."): k for n, k in zip(layers, keep)}
        with torch.no_grad():
            for n, k in zip(layers, keep):
                model.get_parameter(n)[~torch.tensor(k)] = 0
    dir = fresh("adapters", name)
    model.save_pretrained(dir, save_embedding_layers="saved" in name or "auto")
    (dir / "README.md").unlink(missing_ok=True)
    (dir / "base.txt").write_text(base + "\n")
    saved = read_json(dir / "adapter_config.json") | {"base_model_name_or_path": base}
    for field in ("target_modules", "modules_to_save"):
        saved[field] = sorted(set(saved[field])) if isinstance(saved.get(field), list) else saved.get(field)
    write_json(saved, dir / "adapter_config.json")
    model = peft.PeftModel.from_pretrained(load(name, base), dir, is_trainable=True).eval()
    out, loss = answer(model, name, base)
    plain, _ = answer(load(name, base).eval(), name, base)
    result = "hidden" if "hidden" in out else "logits"
    assert not torch.allclose(out[result], plain[result])
    loss.backward()
    file = load_file(dir / "adapter_model.safetensors")
    trained = {re.sub(r"\.default|\.modules_to_save", "", n): p for n, p in model.named_parameters() if p.requires_grad}
    trained = {n.replace("_vector.weight", "_vector"): p for n, p in trained.items()}
    trained = {re.sub(r"^.+(?=vblora_vector_bank)", "base_model.", n): p for n, p in trained.items()}
    trained = {n: p for n, p in trained.items() if n in file}
    expected = out | {"loss": loss.reshape(1)} | {f"grad.{n}": p.grad.clone() for n, p in trained.items()}
    if "plus" in name:
        create_loraplus_optimizer(
            model, torch.optim.AdamW, lr=1e-2, loraplus_lr_ratio=4.0, loraplus_weight_decay=0.0, weight_decay=0.0).step()
    else:
        torch.optim.AdamW(trained.values(), lr=1e-2, weight_decay=0.01).step()
    expected |= {f"step.{n}": p for n, p in trained.items()}
    save(expected, dir / "expected.safetensors")
    print("adapter", name, sum(f.stat().st_size for f in dir.iterdir()), f"{len(trained)} of {len(file)} tensors trained, loss {loss.item():.4f}")
