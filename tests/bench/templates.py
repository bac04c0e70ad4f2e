"""Real chat templates, rendered by transformers' Jinja2 and by `peft-jinja`: every `*.jinja` of a folder with eleven conversations, each with and without a
generation prompt. Run: python templates.py FOLDER (after `cargo build -p peft-jinja --example render`; the program's path may follow)"""

import copy
import json
import subprocess
import sys
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template, _render_with_assistant_indices

PROGRAM = Path(__file__).parents[2] / "target/debug/examples/render"


def message(role, content, **more):
    return {"role": role, "content": content, **more}


CALL = {"type": "function", "id": "call00001", "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2, "metric": True, "near": None}}}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather of a \"city\".", "parameters": {"type": "object", "required": ["city"],
        "properties": {"city": {"type": "string", "description": "Where"}, "days": {"type": "integer", "minimum": 1, "enum": [1, 2]}, "metric": {"type": "boolean"}}}}}
CONVERSATIONS = {
    "one": {"messages": [message("user", "Hi")]},
    "system": {"messages": [message("system", "Be <b>brief</b>."), message("user", "Hi")]},
    "turns": {"messages": [message("user", "Hi"), message("assistant", "Hello."), message("user", "  And?\n"), message("assistant", "\nThat is all. "), message("user", "Ok")]},
    "answered": {"messages": [message("system", "S"), message("user", "Hi"), message("assistant", "Hello.")]},
    "tools": {"messages": [message("system", "S"), message("user", "Hi")], "tools": [TOOL]},
    "calls": {"messages": [message("user", "Weather?"), message("assistant", "", tool_calls=[CALL]), message("tool", "sunny, 20 °C", name="weather", tool_call_id="call00001"),
              message("assistant", "Sunny.")], "tools": [TOOL]},
    "null": {"messages": [message("user", "Weather?"), message("assistant", None, tool_calls=[CALL]), message("tool", "{\"t\": 20}", name="weather", tool_call_id="call00001")], "tools": [TOOL]},
    "reasoning": {"messages": [message("user", "2+2?"), message("assistant", "4", reasoning_content="Add.", thinking="Add."), message("user", "3+3?"),
                  message("assistant", "<think>\nAdd.\n</think>\n\n6")]},
    "parts": {"messages": [message("user", [{"type": "text", "text": "What"}, {"type": "text", "text": " is it?"}]), message("assistant", [{"type": "text", "text": "It."}])]},
    "unicode": {"messages": [message("user", "日本 🙂 \u2028 'q' \"d\" \\ <|im_end|>"), message("assistant", "é\u0301\t")]},
    "empty": {"messages": []},
}


def main():
    folder, program = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else PROGRAM
    cases = []
    for path in sorted(Path(folder).glob("*.jinja")):
        for name, conversation in CONVERSATIONS.items():
            for prompt in (False, True):
                context = {"tools": None, "documents": None, **conversation, "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
                cases.append((path.name, name, prompt, path.read_text(), context))
    wanted = []
    for _, _, _, source, context in cases:
        try:
            template = _compile_jinja_template(source)
            template.globals["strftime_now"] = lambda format: format
            text, spans = _render_with_assistant_indices(compiled_template=template, **copy.deepcopy(context))
            wanted.append((text, [text[start:end] for start, end in spans]))
        except Exception as error:
            wanted.append(error)
    given = json.dumps([[source, context] for *_, source, context in cases])
    found = json.loads(subprocess.run([program], input=given, capture_output=True, text=True, check=True).stdout)
    same = refused = marked = 0
    for (path, name, prompt, *_), expected, result in zip(cases, wanted, found):
        if isinstance(expected, tuple) and (result.get("text"), result.get("generated")) == expected:
            same += 1
            marked += bool(expected[1])
        elif not isinstance(expected, tuple) and "error" in result:
            refused += 1
        else:
            print(f"{path} {name} prompt={prompt}\n  Jinja2: {expected!r}\n  here:   {result}")
    print(f"{len({case[0] for case in cases})} templates, {len(cases)} renderings: {same} the same ({marked} with marked answers), {refused} refused by both, {len(cases) - same - refused} differ")


if __name__ == "__main__":
    main()
