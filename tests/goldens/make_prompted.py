"""Prompts and completions that are conversations, as TRL's SFTTrainer makes tokens and labels of them: `rows/prompted.json`. Run: python make_prompted.py"""

import json
from pathlib import Path
from types import SimpleNamespace

from datasets import IterableDataset
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast
from trl import SFTTrainer

from make_rows import CHATS, HERE, TEMPLATES, turns

MORE = {
    # The prompt alone ends otherwise than the same prompt in the whole.
    "thinking is asked for": "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' and enable_thinking %}<think>\n{% endif %}{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}",
    "tools": "{% if tools %}<|tools|>{% for t in tools %}{{ t | tojson }}{% endfor %}\n{% endif %}{% for m in messages %}<|{{ m.role }}|>{{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}{{ c.function.arguments | tojson }}</call>{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}",
}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "東京"}}}]}
ASKED = turns("Is it warm?")


def rows():
    for chat, messages in CHATS.items():
        for at in range(1, len(messages)):
            # The end of a conversation, a turn in it with all that follows, and what goes on from the assistant's own turn.
            if any(m["role"] == "assistant" for m in messages[at:]):
                yield f"{chat}, {at} given", dict(prompt=messages[:at], completion=messages[at:])
    yield "tools", dict(prompt=ASKED, completion=[CALL], tools=[WEATHER])
    yield "tools as JSON", dict(prompt=ASKED, completion=[CALL], tools=json.dumps([WEATHER]))
    yield "a tool's answer", dict(prompt=[*ASKED, CALL, dict(role="tool", content="21")], completion=[dict(role="assistant", content="Yes.")], tools=[WEATHER])
    yield "settings of the template", dict(prompt=ASKED, completion=turns("", "Yes.")[1:], chat_template_kwargs=dict(enable_thinking=True))


def prepared(fast, template, row):
    """The row by TRL's own code, which asks its trainer for these alone."""
    trainer = SimpleNamespace(_tokenizer=fast, chat_template=template, completion_only_loss=True)
    args = SimpleNamespace(dataset_num_proc=None, dataset_text_field="text", assistant_only_loss=False, max_length=None, shuffle_dataset=False)
    rows = IterableDataset.from_generator(lambda: iter([row]))
    (out,) = SFTTrainer._prepare_dataset(trainer, rows, fast, args, False, None, "train")
    return out


def main():
    inner = Tokenizer.from_file(str(Path(__file__).parent / "chat" / "tokenizer.json"))
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    plain = {name: signs.replace("⟦", "").replace("⟧", "") for name, signs in TEMPLATES.items()} | MORE
    given = dict(rows())
    found = {}
    for name, template in plain.items():
        cases = found.setdefault(name, {})
        for case, row in given.items():
            out = prepared(fast, template, row)
            ids, first = out["input_ids"], out["labels"].count(-100)
            assert out["labels"] == [-100] * first + ids[first:]
            cases[case] = dict(ids=ids, given=first)
    file = HERE / "prompted.json"
    file.write_text(json.dumps(dict(templates=plain, rows=given, found=found), ensure_ascii=False) + "\n")
    print(len(found) * len(given), "rows,", file.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
