"""Which of a checkpoint's files transformers takes special tokens, ends and chat templates from. Run: python make_tokens.py"""

import json
import tempfile
from pathlib import Path

from transformers import AutoTokenizer, GenerationConfig
from transformers.utils import logging

logging.set_verbosity_error()
HERE = Path(__file__).parent / "tokens"
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<|endoftext|>", "<|im_end|>", "<eos>", "<bos>"]
TEXTS = ["hi", "hi hi<s>", "hi</s>hi", "<s>hi<|im_end|>", "hi<new>", "<|endoftext|><eos><pad>hi<x>"]


def added(i, content, **flags):
    return dict(id=i, content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True) | flags


def template(begin, end):
    part = lambda i, t: dict(SpecialToken=dict(id=t, type_id=i))
    text = lambda i, n: dict(Sequence=dict(id=n, type_id=i))
    special = {t: dict(id=t, ids=[SPECIAL.index(t)], tokens=[t]) for t in begin + end}
    around = lambda i, n: [part(i, t) for t in begin] + [text(i, n)] + [part(i, t) for t in end]
    return dict(type="TemplateProcessing", single=around(0, "A"), pair=around(0, "A") + around(1, "B"), special_tokens=special)


def tokenizer(metaspace=False, processor=None, extra=(), **fields):
    space = "▁" if metaspace else "Ġ"
    letters = ["h", "i", "n", "e", "w", "x", "s", "<", ">", "/", "|", "_", "m", "d", "o", "f", "t", "b", "u", "k", "p", "a", space]
    vocab = {t: i for i, t in enumerate(SPECIAL + letters + ["hi", space + "hi"])}
    prefix = dict(type="Metaspace", replacement="▁", prepend_scheme="always", split=False)
    byte = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    base = dict(
        version="1.0", truncation=None, padding=None,
        added_tokens=[added(i, t) for i, t in enumerate(SPECIAL)] + list(extra),
        normalizer=None, pre_tokenizer=prefix if metaspace else byte, post_processor=processor, decoder=None,
        model=dict(type="BPE", dropout=None, unk_token="<unk>", continuing_subword_prefix=None, end_of_word_suffix=None,
                   fuse_unk=metaspace, byte_fallback=metaspace, ignore_merges=False,
                   vocab=vocab, merges=[["h", "i"], [space, "hi"]]),
    )
    return base | fields


TOKEN = dict(content="<|im_end|>", single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
TYPED = dict(__type="AddedToken", **TOKEN)
BASE = tokenizer(processor=template(["<s>"], []))
META = tokenizer(metaspace=True, processor=template(["<s>"], []))
LLAMA, GPT2, QWEN2, QWEN3 = (dict(model_type=t) for t in ["llama", "gpt2", "qwen2", "qwen3"])
GEMMA, BERT, ROBERTA, PHI3, MISTRAL = (dict(model_type=t) for t in ["gemma", "bert", "roberta", "phi3", "mistral"])
CHAT = "{{ bos_token }}{% for m in messages %}hi {{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}hi{% endif %}"
TURNS = [dict(role="user", content="hi hi<x>")]
FAST = dict(tokenizer_class="PreTrainedTokenizerFast")


def case(config=LLAMA, tokenizer=BASE, **files):
    return {"config.json": config, "tokenizer.json": tokenizer} | {k.replace("__", "."): v for k, v in files.items()}


CASES = {
    "alone": case(),
    "alone_gpt2": case(GPT2),
    "alone_qwen2": case(QWEN2),
    "alone_qwen3": case(QWEN3),
    "alone_gemma": case(GEMMA),
    "alone_phi3": case(PHI3),
    "alone_mistral": case(MISTRAL),
    "alone_roberta": case(ROBERTA, tokenizer(processor=dict(type="RobertaProcessing", sep=["</s>", 2], cls=["<s>", 1], trim_offsets=True, add_prefix_space=False))),
    "text": case(tokenizer_config__json=FAST | dict(eos_token="<|im_end|>", bos_token="<s>")),
    "object": case(tokenizer_config__json=FAST | dict(eos_token=TYPED)),
    "null": case(tokenizer_config__json=FAST | dict(eos_token=None, bos_token="<s>")),
    "null_in_class": case(GPT2, tokenizer_config__json=dict(tokenizer_class="GPT2Tokenizer", eos_token=None)),
    "class_of_config": case(LLAMA | dict(tokenizer_class="GPT2Tokenizer"), tokenizer_config__json=dict(bos_token="<s>")),
    "class_gpt2": case(tokenizer_config__json=dict(tokenizer_class="GPT2Tokenizer")),
    "class_gpt2_fast": case(tokenizer_config__json=dict(tokenizer_class="GPT2TokenizerFast", eos_token="</s>")),
    "class_llama_bytes": case(tokenizer_config__json=dict(tokenizer_class="LlamaTokenizer")),
    "class_llama": case(tokenizer=META, tokenizer_config__json=dict(tokenizer_class="LlamaTokenizerFast")),
    "class_fast_gpt2": case(GPT2, tokenizer_config__json=FAST),
    "class_unknown": case(tokenizer_config__json=dict(tokenizer_class="OwnTokenizer")),
    "class_qwen2_wrong": case(QWEN2, tokenizer_config__json=dict(tokenizer_class="GPT2Tokenizer")),
    "class_qwen3_other": case(QWEN3, tokenizer_config__json=dict(tokenizer_class="GPT2Tokenizer")),
    "class_phi3_llama": case(PHI3, META, tokenizer_config__json=dict(tokenizer_class="LlamaTokenizer")),
    "map_only": case(special_tokens_map__json=dict(eos_token="<|im_end|>", bos_token=TOKEN | dict(content="<s>"))),
    "map_before_config": case(tokenizer_config__json=FAST | dict(eos_token="</s>", pad_token="<pad>"), special_tokens_map__json=dict(eos_token="<|im_end|>")),
    "map_null": case(tokenizer_config__json=FAST | dict(eos_token="</s>"), special_tokens_map__json=dict(eos_token=None)),
    "decoder_before_map": case(
        tokenizer_config__json=FAST | dict(eos_token="</s>", added_tokens_decoder={"2": TOKEN | dict(content="</s>")}),
        special_tokens_map__json=dict(eos_token="<|im_end|>", pad_token="<pad>"),
    ),
    "decoder_empty": case(
        tokenizer_config__json=FAST | dict(eos_token="</s>", added_tokens_decoder={}),
        special_tokens_map__json=dict(eos_token="<|im_end|>"),
    ),
    "decoder_new": case(tokenizer_config__json=FAST | dict(eos_token="<new>", added_tokens_decoder={
        "60": TOKEN | dict(content="<new>"), "50": TOKEN | dict(content="<x>", special=False), "9": TOKEN | dict(content="hi", special=False)})),
    "not_in_vocabulary": case(tokenizer_config__json=FAST | dict(eos_token="<new>", pad_token="<x>")),
    "added_file": case(tokenizer_config__json=FAST | dict(pad_token="<new>"), added_tokens__json={"<new>": 33, "<x>": 34}),
    "extra": case(tokenizer_config__json=FAST | dict(extra_special_tokens=["<new>", "<|im_end|>"])),
    "extra_named": case(tokenizer_config__json=FAST | dict(extra_special_tokens=dict(image_token="<new>"))),
    "additional": case(tokenizer_config__json=FAST | dict(additional_special_tokens=["<new>"])),
    "additional_and_extra": case(tokenizer_config__json=FAST | dict(additional_special_tokens=["<new>"], extra_special_tokens=["<x>"])),
    "own_name": case(tokenizer_config__json=FAST | dict(image_token="<|im_end|>", add_bos_token=True)),
    "add_bos_ignored": case(tokenizer=tokenizer(processor=template([], [])), tokenizer_config__json=FAST | dict(add_bos_token=True, add_eos_token=True, bos_token="<s>", eos_token="</s>")),
    "add_bos_off": case(tokenizer_config__json=FAST | dict(add_bos_token=False, bos_token="<s>")),
    "no_processor": case(tokenizer=tokenizer(), tokenizer_config__json=FAST | dict(add_bos_token=True, bos_token="<s>", eos_token="</s>")),
    "closes": case(tokenizer=tokenizer(processor=template(["<s>"], ["</s>"])), tokenizer_config__json=FAST | dict(eos_token="</s>")),
    "padding": case(tokenizer=tokenizer(padding=dict(strategy="BatchLongest", direction="Right", pad_to_multiple_of=None, pad_id=3, pad_type_id=0, pad_token="<pad>")), tokenizer_config__json=FAST),
    "template_text": case(tokenizer_config__json=FAST | dict(chat_template="config")),
    "template_list": case(tokenizer_config__json=FAST | dict(chat_template=[dict(name="default", template="a"), dict(name="tool_use", template="b")])),
    "template_map": case(tokenizer_config__json=FAST | dict(chat_template=dict(default="a", rag="b"))),
    "template_file": case(tokenizer_config__json=FAST | dict(chat_template="config"), chat_template__jinja="file\r\nline\rend\n"),
    "template_json": case(tokenizer_config__json=FAST | dict(chat_template="config"), chat_template__json=dict(chat_template="json")),
    "template_json_only": case(tokenizer_config__json=FAST, chat_template__json=dict(chat_template="json")),
    "template_file_and_list": case(tokenizer_config__json=FAST | dict(chat_template=[dict(name="default", template="a"), dict(name="rag", template="b")]), chat_template__jinja="file"),
    "template_folder": case(tokenizer_config__json=FAST | dict(chat_template="config")) | {"chat_template.jinja": "file", "additional_chat_templates/rag.jinja": "rag", "additional_chat_templates/a.b.jinja": "dots", "additional_chat_templates/other.txt": "no"},
    "template_folder_only": case(tokenizer_config__json=FAST | dict(chat_template="config")) | {"additional_chat_templates/rag.jinja": "rag"},
    "template_empty_file": case(tokenizer_config__json=FAST | dict(chat_template="config"), chat_template__jinja=""),
    "chat": case(tokenizer_config__json=FAST | dict(chat_template=CHAT, bos_token="<s>", eos_token="<|im_end|>")),
    "chat_closed": case(tokenizer=tokenizer(processor=template(["<s>"], ["</s>"])), tokenizer_config__json=FAST | dict(chat_template=CHAT, bos_token="<s>", eos_token="<|im_end|>")),
    "end_generation": case(tokenizer_config__json=FAST, generation_config__json=dict(eos_token_id=[5, 2])),
    "end_generation_one": case(LLAMA | dict(eos_token_id=4), tokenizer_config__json=FAST, generation_config__json=dict(eos_token_id=5)),
    "end_config": case(LLAMA | dict(eos_token_id=4), tokenizer_config__json=FAST),
    "end_config_list": case(LLAMA | dict(eos_token_id=[4, 5]), tokenizer_config__json=FAST),
    "end_tokenizer_and_list": case(LLAMA, tokenizer_config__json=FAST | dict(eos_token="</s>"), generation_config__json=dict(eos_token_id=[5, 4])),
    "wrong_number": case(tokenizer_config__json=FAST | dict(eos_token=2)),
    "wrong_list": case(tokenizer_config__json=FAST | dict(eos_token=["</s>"])),
    "wrong_in_map": case(special_tokens_map__json=dict(eos_token=2)),
    "wrong_decoder": case(tokenizer_config__json=FAST | dict(added_tokens_decoder={"2": "</s>"})),
    "wrong_template_list": case(tokenizer_config__json=FAST | dict(chat_template=[dict(name="default")])),
}


def stops(path):
    for name, own in [("generation_config.json", False), ("config.json", True)]:
        if (path / name).exists():
            ids = GenerationConfig.from_pretrained(path, name, _from_model_config=own).eos_token_id
            return ids if isinstance(ids, list) else [] if ids is None else [ids]


def expected(files):
    with tempfile.TemporaryDirectory() as d:
        path = Path(d)
        for name, value in files.items():
            (path / name).parent.mkdir(exist_ok=True)
            data = value if isinstance(value, str) else json.dumps(value)
            (path / name).write_bytes(data.encode())
        try:
            t = AutoTokenizer.from_pretrained(path)
        except Exception as error:
            return dict(error=type(error).__name__)
        templates = t.chat_template
        if isinstance(templates, str):
            templates = dict(default=templates)
        return dict(
            special=t.special_tokens_map,
            eos=t.eos_token_id,
            stops=stops(path),
            templates=templates or {},
        ) | (dict(chat=t.apply_chat_template(TURNS, add_generation_prompt=True)["input_ids"]) if templates == dict(default=CHAT) else {}) | dict(
            ids=[t(text)["input_ids"] for text in TEXTS],
            bare=[t(text, add_special_tokens=False)["input_ids"] for text in TEXTS],
        )


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    shared = {"base": BASE, "metaspace": META}
    out = {}
    for name, files in CASES.items():
        found = expected(files)
        for key, value in shared.items():
            if files["tokenizer.json"] is value:
                files = files | {"tokenizer.json": key}
        out[name] = dict(files=files, expected=found)
    (HERE / "cases.json").write_text(json.dumps(dict(texts=TEXTS, turns=TURNS, tokenizers=shared, cases=out), ensure_ascii=False, indent=1) + "\n")
