"""Which tokens transformers' tokenizer classes make of the files that they read in part. Run: python make_tokenizer_classes.py"""

import json
import logging
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer
from transformers.utils import logging as quiet

quiet.set_verbosity_error()
logging.disable(logging.WARNING)
OUT = Path(__file__).parent / "tokens" / "classes.json"
CORPUS = ["hello world the quick brown fox jumps over the lazy dog Hello World THE café naïve 12345 don't a b c d e f " * 3, "<tag> x y z . , ! ? \n\n tab\t"]
TEXTS = [
    "hello world", "Hello  World <tag> fox jumps foxes", "a fox <s> b </s> c", "</s> x", " lead trail ", "the lazy dog\n\n café naïve",
    "don't 12345", "é café e\u0301", "日本 hello", "a  </s>  b [SEP] c", "x<tag>y <tag> z", "<|im_end|>\n hi<extra_id_0>", "ﬁx e\u0301 Ａ\u3000b",
]
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<mask>", "<|endoftext|>", "<bos>", "<eos>", "<|padding|>"]


def bytes_bpe():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return t


def sentence_bpe():
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    special = SPECIAL + ["<0x%02X>" % i for i in range(256)]
    t.train_from_iterator([c.replace(" ", "▁") for c in CORPUS], trainers.BpeTrainer(vocab_size=340, special_tokens=special))
    return t


def unigram():
    t = Tokenizer(models.Unigram())
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first")
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    t.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=90, special_tokens=special, unk_token="<unk>"))
    return t


def wordpiece():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.BertNormalizer(lowercase=False), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=130, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    return t


TOKENIZERS = {name: json.loads(make().to_str()) for name, make in dict(bytes=bytes_bpe, sentence=sentence_bpe, unigram=unigram, wordpiece=wordpiece).items()}


def around(begin, end, ids):
    text = lambda i, n: dict(Sequence=dict(id=n, type_id=i))
    part = lambda i, t: dict(SpecialToken=dict(id=t, type_id=i))
    one = lambda i, n: [part(i, t) for t in begin] + [text(i, n)] + [part(i, t) for t in end]
    tokens = {t: dict(id=t, ids=[ids[t]], tokens=[t]) for t in begin + end}
    return dict(type="TemplateProcessing", single=one(0, "A"), pair=one(0, "A") + one(1, "B"), special_tokens=tokens)


BOS = dict(post_processor=around(["<s>"], [], {"<s>": 1}))
ROBERTA = dict(post_processor=dict(type="RobertaProcessing", sep=["</s>", 2], cls=["<s>", 1], trim_offsets=True, add_prefix_space=True))
BERT = dict(post_processor=dict(type="BertProcessing", sep=["[SEP]", 3], cls=["[CLS]", 2]))
PREFIX = dict(pre_tokenizer=dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True))
LOWER = dict(normalizer=dict(type="Lowercase"))
# What SentencePiece makes of the rules FB01 -> "fi", 65 301 -> E9, 3000 -> a space, FF21 -> "A".
CHARSMAP = Path(__file__).parent / "tokens" / "charsmap.txt"
MAP = dict(type="Precompiled", precompiled_charsmap=CHARSMAP.read_text().strip())
CASES = {}


def case(name, tokenizer, model="llama", config=None, changes=None, **files):
    value = TOKENIZERS[tokenizer] | (changes or {})
    with tempfile.TemporaryDirectory() as d:
        path = Path(d)
        (path / "tokenizer.json").write_text(json.dumps(value))
        written = {"config.json": dict(model_type=model)} | ({} if config is None else {"tokenizer_config.json": config})
        written |= {k.replace("__", "."): v for k, v in files.items()}
        for file, content in written.items():
            (path / file).write_text(json.dumps(content))
        try:
            t = AutoTokenizer.from_pretrained(path)
            known = len(value["model"]["vocab"])
            ids = [t(text)["input_ids"] for text in TEXTS]
            decoded = t.decode(ids[1], skip_special_tokens=True, clean_up_tokenization_spaces=False)
            expected = dict(kind=type(t).__name__, ids=ids, decoded=decoded)
        except Exception as error:
            expected = dict(error=repr(error)[:120])
    assert name not in CASES
    CASES[name] = dict(tokenizer=tokenizer, changes=changes or {}, files=written) | expected


def named(kind, **flags):
    return dict(tokenizer_class=kind) | flags


# Llama's.
for legacy in (None, False, True):
    for prefix in (None, False, True):
        flags = {k: v for k, v in dict(legacy=legacy, add_prefix_space=prefix).items() if v is not None}
        case(f"llama legacy {legacy} prefix {prefix}", "sentence", config=named("LlamaTokenizer", **flags), changes=BOS)
case("llama null prefix", "sentence", config=named("LlamaTokenizerFast", legacy=False, add_prefix_space=None), changes=BOS)
case("llama adds ends", "sentence", config=named("LlamaTokenizer", add_bos_token=True, add_eos_token=True))
case("llama of no class", "sentence", changes=BOS)
case("llama of config.json", "sentence", changes=BOS, config={}, config__json=dict(model_type="llama", tokenizer_class="LlamaTokenizer"))
case("llama as any", "sentence", config=named("PreTrainedTokenizerFast"), changes=BOS)
case("llama of bytes", "bytes", config=named("LlamaTokenizer"), changes=PREFIX)
case("llama of unigram", "unigram", config=named("LlamaTokenizer"))
case("mistral names llama", "sentence", "mistral", named("LlamaTokenizer", legacy=False), BOS)
case("llama names phi3", "sentence", "llama", named("Phi3Tokenizer", legacy=False), BOS)
case("phi3 names llama", "sentence", "phi3", named("LlamaTokenizer", legacy=False), BOS)
case("code llama", "sentence", config=named("CodeLlamaTokenizer", prefix_token=None, suffix_token=None, middle_token=None, eot_token=None, fill_token=None))
# BERT's.
for model in ("bert", "distilbert"):
    for flags in ({}, dict(do_lower_case=False), dict(do_lower_case=True, strip_accents=False), dict(do_lower_case=False, strip_accents=True), dict(tokenize_chinese_chars=False)):
        kind = "BertTokenizer" if model == "bert" else "DistilBertTokenizerFast"
        case(f"{model} {flags}", "wordpiece", model, named(kind, **flags), BERT)
case("bert of no class", "wordpiece", "bert", changes=BERT)
case("bert of empty config", "wordpiece", "bert", {}, BERT)
case("bert in its own way", "wordpiece", "bert", named("BertTokenizer"), BERT | LOWER | dict(pre_tokenizer=dict(type="Whitespace")))
case("bert without ends", "wordpiece", "bert", named("BertTokenizer"))
case("bert with other ends", "wordpiece", "bert", named("BertTokenizer", sep_token="[MASK]"), BERT)
case("bert as any", "wordpiece", "bert", named("PreTrainedTokenizerFast", do_lower_case=True), BERT)
case("electra names its own", "wordpiece", "electra", named("ElectraTokenizerFast", do_lower_case=True), BERT)
case("llama names bert", "wordpiece", "llama", named("BertTokenizer"), BERT)
# Those of bytes.
for kind, model, post in [("GPT2Tokenizer", "gpt2", {}), ("RobertaTokenizer", "roberta", ROBERTA), ("GPTNeoXTokenizer", "gpt_neox", {}), ("Qwen2Tokenizer", "qwen3", {}), ("Qwen3_5Tokenizer", "qwen3_5", {})]:
    for prefix in (None, False, True):
        flags = {} if prefix is None else dict(add_prefix_space=prefix)
        case(f"{kind} prefix {prefix}", "bytes", model, named(kind, **flags), post)
        case(f"{kind} prefix {prefix} of one with", "bytes", model, named(kind + "Fast", **flags), post | PREFIX)
    case(f"{kind} of no class", "bytes", model, None, post | PREFIX)
    case(f"{kind} as any", "bytes", model, named("PreTrainedTokenizerFast"), post | PREFIX)
    case(f"{kind} with another normalizer", "bytes", model, named(kind), post | LOWER)
    case(f"{kind} of ends", "bytes", model, named(kind), dict(post_processor=around(["<s>"], ["</s>"], {"<s>": 1, "</s>": 2})))
case("roberta without ends", "bytes", "roberta", named("RobertaTokenizer"))
case("roberta with other ends", "bytes", "roberta", named("RobertaTokenizer", cls_token="<bos>"), ROBERTA)
case("longformer's class", "bytes", "roberta", named("LongformerTokenizer"), ROBERTA | PREFIX)
case("bart's class", "bytes", "roberta", named("BartTokenizerFast"), ROBERTA | PREFIX)
case("qwen2 names gpt2", "bytes", "qwen2", named("GPT2Tokenizer"), PREFIX)
case("qwen3 names gpt2", "bytes", "qwen3", named("GPT2Tokenizer", add_prefix_space=True))
case("qwen2 as any", "bytes", "qwen2", named("PreTrainedTokenizerFast"), PREFIX)
case("modernbert names bert", "bytes", "modernbert", named("BertTokenizer"), PREFIX)
case("bloom's class", "bytes", "llama", named("BloomTokenizerFast"), PREFIX)
# Those of sentence pieces.
case("gemma", "sentence", "gemma", named("GemmaTokenizer"), BOS)
case("gemma of no class", "sentence", "gemma2", changes=BOS)
case("gemma as any", "sentence", "gemma2", named("PreTrainedTokenizerFast"), BOS)
case("gemma of an unknown sign", "sentence", "gemma", named("GemmaTokenizer", unk_token="<pad>"), BOS)
for prefix in (None, False, True):
    flags = {} if prefix is None else dict(add_prefix_space=prefix)
    case(f"xlm-roberta prefix {prefix}", "unigram", "xlm-roberta", named("XLMRobertaTokenizer", **flags))
case("xlm-roberta of no class", "unigram", "xlm-roberta", changes=LOWER)
case("xlm-roberta of bpe", "sentence", "xlm-roberta", named("XLMRobertaTokenizer"))
case("xlm-roberta with a map", "unigram", "xlm-roberta", named("XLMRobertaTokenizer"), dict(normalizer=MAP))
case("xlm-roberta with a map among others", "unigram", "xlm-roberta", named("XLMRobertaTokenizer"), dict(normalizer=dict(type="Sequence", normalizers=[dict(type="Lowercase"), MAP])))
case("gemma with a map", "sentence", "gemma", named("GemmaTokenizer"), dict(normalizer=MAP))
case("t5 with a map", "unigram", "t5", named("T5Tokenizer", extra_ids=0), dict(normalizer=MAP))
for extra in (None, 0, 2):
    case(f"t5 of {extra} extra", "unigram", "t5", named("T5Tokenizer", **({} if extra is None else dict(extra_ids=extra))))
case("t5 of extra that are named", "unigram", "t5", named("T5Tokenizer", additional_special_tokens=["<extra_id_0>", "fox"]))
# Added tokens.
flagged = lambda content, **flags: dict(content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True) | flags
added = lambda i, content, **flags: dict(id=i) | flagged(content, **flags)
OWN = TOKENIZERS["bytes"]["added_tokens"]
FAST, GPT2 = named("PreTrainedTokenizerFast", bos_token="<s>", eos_token="</s>"), named("GPT2Tokenizer")
TAG = flagged("<tag>", lstrip=True, rstrip=True)
LISTED = {"2": flagged("</s>", lstrip=True, rstrip=True), "1": flagged("<s>", special=False), "0": flagged("<unk>", special=False, rstrip=True, normalized=True)}
MORE = dict(added_tokens=OWN + [added(300, "<tag>", lstrip=True), added(301, "fox", special=False, single_word=True, normalized=True), added(302, "<|im_end|>", rstrip=True)])
for short, config in [("any", FAST), ("gpt2", GPT2), ("qwen2", named("Qwen2Tokenizer"))]:
    model = "llama" if short != "qwen2" else "qwen2"
    case(f"{short}: flags listed", "bytes", model, config | dict(added_tokens_decoder=LISTED))
    case(f"{short}: one listed", "bytes", model, config | dict(added_tokens_decoder={"302": flagged("<|im_end|>", lstrip=True)}), MORE)
    case(f"{short}: none listed", "bytes", model, config, MORE)
    case(f"{short}: listed and named", "bytes", model, config | dict(eos_token="<|im_end|>", added_tokens_decoder={"300": flagged("<|im_end|>", lstrip=True, special=False)}))
    case(f"{short}: word of the text", "bytes", model, config | dict(added_tokens_decoder={"301": flagged("fox", special=False, single_word=True), "300": flagged("hello", special=False, normalized=True)}))
    case(f"{short}: extra with flags", "bytes", model, config | dict(additional_special_tokens=[dict(__type="AddedToken", **TAG)]))
    case(f"{short}: extra in the new field", "bytes", model, config | dict(extra_special_tokens=[dict(__type="AddedToken", **TAG), "fox"]))
    case(f"{short}: extra that is known", "bytes", model, config | dict(extra_special_tokens=[dict(__type="AddedToken", **flagged("</s>", lstrip=True))]))
    case(f"{short}: named with flags", "bytes", model, config | dict(eos_token=dict(__type="AddedToken", **flagged("<|im_end|>", lstrip=True))))
    case(f"{short}: named in the map", "bytes", model, config, special_tokens_map__json=dict(eos_token=dict(content="<|im_end|>", lstrip=True, rstrip=False, normalized=False, single_word=False), pad_token=dict(content="</s>", lstrip=True, rstrip=False, normalized=False, single_word=False)))
    case(f"{short}: in a file of its own", "bytes", model, config, MORE, added_tokens__json={"dog": 303, "jumps": 304})
    case(f"{short}: split", "bytes", model, config | dict(split_special_tokens=True), MORE)
case("bert: mask with its space", "wordpiece", "bert", named("BertTokenizer", added_tokens_decoder={"4": flagged("[MASK]", lstrip=True), "3": flagged("[SEP]", lstrip=True)}), BERT)
case("llama: tokens that are normalized", "sentence", "llama", named("LlamaTokenizer", legacy=False, added_tokens_decoder={"2": flagged("</s>", normalized=True), "340": flagged("<tag>", normalized=True, special=False)}), BOS)

if __name__ == "__main__":
    lines = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in CASES.items()]
    tokenizers = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in TOKENIZERS.items()]
    text = '{"texts": %s,\n"tokenizers": {\n%s\n},\n"cases": {\n%s\n}}\n'
    OUT.write_text(text % (json.dumps(TEXTS, ensure_ascii=False), ",\n".join(tokenizers), ",\n".join(lines)))
