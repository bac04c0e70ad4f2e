"""Rows as the field's libraries encode them: completions by small tokenizers of each kind, and the assistant's turns by templates with and without
`{% generation %}`. Run: python make_rows.py"""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent / "rows"
SPECIAL = ["<s>", "</s>", "<unk>", "<pad>"]
CORPUS = ["ab abc abcd a b c d", "  the cat, the hat\n\nthe end.", "İstanbul straße ﬁne ＡＢ é e\u0301", "x\r\ny z", "日本 🙂 ok"]

PAIRS = [
    ["ab", " abc"], ["ab ", "abc"], ["ab", "cd"], ["ab\n", "abc"], ["ab:", " the cat, the hat"], ["  ab", "  abc  "], ["the cat", "\n\nthe end."],
    ["日本", " 🙂"], ["🙂", "🙂"], ["İ", " ﬁne"], ["e", "\u0301 ab"], ["x\r\n", "y"], ["\ufeffab", " c"], ["a\u200b", "b"], ["<s>ab", " abc"],
    ["ab</s>", "ab"], ["ab", " abc</s>"], ["", "ab"], ["ab<pad> ", " c"], ["a", " "], [" ", "a"],
]


def trained(model, trainer, **steps):
    inner = Tokenizer(model)
    for name, step in steps.items():
        setattr(inner, name, step)
    inner.train_from_iterator(CORPUS, trainer)
    return inner


def closing(single):
    return processors.TemplateProcessing(single=single, pair=single + " $B:1", special_tokens=[("<s>", 0), ("</s>", 1)])


def tokenizers():
    letters = pre_tokenizers.ByteLevel.alphabet()

    def byte_level(prefix, post=None):
        trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=SPECIAL, initial_alphabet=letters)
        inner = trained(models.BPE(), trainer, pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=prefix))
        if post is not None:
            inner.post_processor = post
        return inner

    def marked(scheme, single):
        trainer = trainers.BpeTrainer(vocab_size=90, special_tokens=SPECIAL)
        model = models.BPE(unk_token="<unk>")
        if scheme == "legacy":
            steps = dict(normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]))
        else:
            steps = dict(pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme=scheme, split=scheme != "first"))
        inner = trained(model, trainer, **steps)
        inner.post_processor = closing(single)
        return inner

    pieces = trained(
        models.Unigram(), trainers.UnigramTrainer(vocab_size=60, special_tokens=SPECIAL, unk_token="<unk>"),
        normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip()]),
        pre_tokenizer=pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]))
    pieces.post_processor = closing("$A </s>")
    words = trained(
        models.WordPiece(unk_token="<unk>"), trainers.WordPieceTrainer(vocab_size=90, special_tokens=SPECIAL),
        normalizer=normalizers.BertNormalizer(), pre_tokenizer=pre_tokenizers.BertPreTokenizer())
    words.post_processor = processors.BertProcessing(("</s>", 1), ("<s>", 0))
    return {
        "byte level": byte_level(False),
        "byte level, a space before": byte_level(True, processors.ByteLevel(trim_offsets=True)),
        "roberta": byte_level(True, processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=True, add_prefix_space=True)),
        "byte level, begun": byte_level(False, processors.Sequence([processors.ByteLevel(trim_offsets=False), closing("<s> $A")])),
        "legacy": marked("legacy", "<s> $A"),
        "first": marked("first", "<s> $A"),
        "always": marked("always", "<s> $A </s>"),
        "unigram": pieces,
        "bert": words,
    }


def completions(inner):
    eos, cases = 1, []
    begin = inner.encode("", add_special_tokens=True).ids
    begin = begin[: len(begin) - (begin[-1:] == [eos])]
    for prompt, completion in PAIRS:
        whole = begin + inner.encode(prompt + completion, add_special_tokens=False).ids
        whole += [eos] if whole[-1:] != [eos] else []
        given = begin + inner.encode(prompt, add_special_tokens=False).ids
        # Where the prompt's tokens are the beginning of the whole's, TRL's mask begins behind them.
        agree = whole[: len(given)] == given
        cases.append(dict(prompt=prompt, completion=completion, ids=whole, given=len(given) if agree else None))
    return cases


# What is between the signs is the assistant's, through the beginning of the next turn.
TEMPLATES = {
    "closed": "{% for m in messages %}{% if m['role'] == 'assistant' %}<|assistant|>\n⟦{{ m['content'] }}<|end|>\n"
    "{% if loop.last and not add_generation_prompt %}{{ eos_token }}{% endif %}⟧{% else %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% elif messages[-1]['role'] != 'assistant' %}{{ eos_token }}{% endif %}",
    "thinking in the last": "{% for m in messages %}{% if m.role == 'assistant' %}{% set c = m.content.split('</think>')[-1].lstrip('\\n') %}<|im_start|>assistant\n"
    "⟦{% if loop.last %}<think>\n{{ m.content.split('</think>')[0].split('<think>')[-1].strip('\\n') if '</think>' in m.content else '' }}\n</think>\n\n{% endif %}{{ c }}<|im_end|>\n⟧"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "ended at the end": "{% for m in messages %}{% if m.role == 'assistant' %}<|start|>assistant⟦<|message|>{{ m.content }}"
    "{% if loop.last and not add_generation_prompt %}<|return|>{% else %}<|end|>{% endif %}⟧{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}",
    "no end": "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{% if m.role == 'assistant' %}⟦{{ m.content.split('</think>')[-1].strip() }}⟧{% else %}{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    "no prompt": "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}⟦ {{ m.content | trim }}{{ eos_token }}⟧{% else %}[INST] {{ m.content }} [/INST]{% endif %}{% endfor %}",
    # The prompt begins an answer that no answer has; the second has an empty one.
    "thinking is begun": "{% for m in messages %}{% if m.role == 'assistant' %}<|assistant|>⟦{{ m.content.split('</think>')[-1] }}{{ eos_token }}⟧{% else %}<|{{ m.role }}|>{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}",
    "thinking is empty": "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>⟦</think>{{ m.content.split('</think>')[-1].strip() }}<|im_end|>\n⟧{% else %}{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}",
    "plain words": "{% for m in messages %}{% if m.role == 'assistant' %}### Assistant: ⟦{{ m.content }}\n⟧{% else %}### {{ m.role | title }}: {{ m.content }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}### Assistant: {% endif %}",
}


def turns(*said, system=None):
    roles = ["user", "assistant"]
    first = [dict(role="system", content=system)] if system is not None else []
    return first + [dict(role=roles[i % 2], content=text) for i, text in enumerate(said)]


CHATS = {
    "one turn": turns("Hello", "Hi"),
    "two turns": turns("Hello", "Hi", "More", "Less"),
    "three turns": turns("a", "b", "c", "d", "e", "f"),
    "system": turns("a", "b", "c", "d", system="Be brief."),
    "the same text": turns("a", "a", "a", "a", "a", "a"),
    "white space": turns(" a ", "b\nc", "\nd", "e f"),
    "reasoning": turns("a", "<think>\nhm\n</think>\n\nb", "c", "<think>\nno\n</think>\n\nd"),
    "headers in it": turns("<|assistant|>\nx", "### User: y", "### Assistant: z", "<|im_start|>user\n", "[/INST]", "w"),
    "other scripts": turns("日本", "🙂é", "ﬁ", "東京 ok"),
    "ends with a question": turns("a", "b", "c"),
    "two questions": turns("a", "b") + turns("c") + turns("d", "e"),
}


def masks(fast):
    found, halved = {}, set()
    for name, signs in TEMPLATES.items():
        tagged = signs.replace("⟦", "{% generation %}").replace("⟧", "{% endgeneration %}")
        plain = signs.replace("⟦", "").replace("⟧", "")
        cases = []
        for chat, messages in CHATS.items():
            out = fast.apply_chat_template(messages, chat_template=tagged, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
            bare = fast.apply_chat_template(messages, chat_template=plain, tokenize=True, return_dict=True)
            assert out["input_ids"] == bare["input_ids"], (name, chat)
            text = fast.apply_chat_template(messages, chat_template=plain, tokenize=False)
            offsets = fast(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
            # Of a character of several tokens at a turn's end, transformers' mask has the first alone; it is the assistant's whole.
            of_assistant = {offset for offset, on in zip(offsets, out["assistant_masks"]) if on}
            assistant = [int(offset in of_assistant) for offset in offsets]
            cases.append(dict(chat=chat, messages=messages, ids=out["input_ids"], assistant=assistant))
            halved.update([(name, chat)] if assistant != out["assistant_masks"] else [])
        found[name] = dict(template=plain, tagged=tagged, cases=cases)
    print("transformers' mask has a part of a character:", sorted(halved))
    return found


def main():
    HERE.mkdir(exist_ok=True)
    found = {}
    for name, inner in tokenizers().items():
        inner.save(str(HERE / (name.replace(", ", "-").replace(" ", "-") + ".json")), pretty=False)
        found[name] = completions(inner)
    chat = Tokenizer.from_file(str(Path(__file__).parent / "chat" / "tokenizer.json"))
    fast = PreTrainedTokenizerFast(tokenizer_object=chat, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    (HERE / "expected.json").write_text(json.dumps(dict(completions=found, chats=masks(fast)), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
