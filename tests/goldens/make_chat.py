"""Chat templates in the manner of the field's models, and what transformers makes of conversations by them. Run: python make_chat.py"""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent / "chat"
SPECIAL = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")

TEMPLATES = {
    "chatml": """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}
{%- if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    "llama3": """{% set loop_messages = messages %}{% for message in loop_messages %}
{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' %}
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}
""",
    "llama3.2": """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{#- The system message comes first. -#}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Length of the date: " ~ (date_string | length) ~ "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls | length == 1 %}
            {{- raise_exception("one call at once") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '{"name": "' + call.name + '", "parameters": ' + (call.arguments | tojson) + '}' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "qwen2.5": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    "qwen3": """{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning_content) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    "gemma2": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}
{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}
{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}
{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}
""",
    "mistral": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported!") }}
    {%- endif %}
{%- endfor %}
{{- " of " ~ (user_messages | length) }}
""",
    "phi3": """{% for message in messages %}{% if message['role'] in ['system', 'user'] and message['content'] %}{{'<|' + message['role'] + '|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>
' + message['content'] + '<|end|>
'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>
' }}{% else %}{{ eos_token }}{% endif %}""",
    "generation": """{%- for message in messages %}
    {%- if message.role == "assistant" %}
        {{- "<|assistant|>\\n" }}
        {%- generation %}
        {{- message.content + eos_token }}
        {%- endgeneration %}

    {%- else %}
        {{- "<|" + message.role + "|>\\n" + message.content + "\\n" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- "<|assistant|>\\n" }}{% endif %}""",
    "generation, loose": """{% for message in messages %}
  {% if message.role == "assistant" %}
  A: {% generation %}

{{ message.content }}{% endgeneration %}

  {% else %}
  {{ message.role }}: {{ message.content }}
  {% endif %}
{% endfor %}
""",
    "loop controls": """{%- for message in messages %}
    {%- if message.role == 'system' %}{% continue %}{% endif %}
    {%- if loop.index0 > 2 %}{% break %}{% endif %}
    {{- message.content }}|
{%- endfor %}""",
    "json": """{{ messages | tojson }}
{{ messages[0] | tojson(indent=2) }}
{{ messages[0] | tojson(separators=(',', ':')) }}
{{ messages[0] | tojson(ensure_ascii=true, sort_keys=true) }}
{{ {'b': [1, 2.5, true, none], 'a': {}, 'c': []} | tojson(indent=4) }}
{{ {'z': "it's <&>", 'a': 1} | tojson }}""",
    "python": """{{ true }} {{ none }} {{ [1, 'a', "it's", none, {'k': false}] }} {{ 7 // 2 }} {{ 2 ** 5 }} {{ 1.5 * 2 }}
{{ messages | map(attribute='role') | join(', ') | upper }} {{ messages[-1].content.title() }} {{ 'a-b'.replace('-', '+') }}
{%- macro turn(message, end='.') %}[{{ message.role }}: {{ caller() if caller else message.content | length }}{{ end }}]{% endmacro %}
{{ turn(messages[0]) }}{{ turn(messages[-1], end='!') }}
{%- set found = namespace(n=0, names=[]) %}
{%- for key, value in messages[0].items() %}{% set found.n = found.n + 1 %}{% set found.names = found.names + [key] %}{% endfor %}
{{ found.n }} {{ found.names }} {{ dict(a=1, b='x') }} {{ messages[0].get('missing', 'nothing') }} {{ messages[0].name is defined }}
{{ range(3) | list }} {{ 'yes' if messages else 'no' }} {{ undefined_name }} {{ unk_token }} {{ pad_token }} {{ sep_token is defined }}
{{ messages | rejectattr('role', 'equalto', 'user') | list | length }} {{ ' x ' | trim }} {{ 'abc'[1:] }} {{ 'abc'[::-1] }} {{ "%s" | format('q') }}
{{ 'a' ~ 1 ~ true }} {{ messages[0].content is string }} {{ messages is sequence }} {{ messages[0] is mapping }} {{ 3 is odd }}""",
}

CHATS = {
    "nothing said": [dict(role="user", content="a"), dict(role="assistant", content=None), dict(role="user", content="b"), dict(role="assistant", content="c")],
    "no content": [dict(role="user", content="a"), dict(role="assistant", reasoning="r"), dict(role="user", content="b"), dict(role="assistant", content="c")],
    "one": [dict(role="user", content="Hello, who are you?")],
    "two turns": [
        dict(role="user", content="  What is 2 < 3 & 'x'? "), dict(role="assistant", content="It's \"true\".\n"),
        dict(role="user", content="Überall, 東京 🙂"), dict(role="assistant", content="\nja "),
    ],
    "system": [
        dict(role="system", content="Be brief. "), dict(role="user", content="a"),
        dict(role="assistant", content="<think>\nhm\n</think>\n\nb"), dict(role="user", content="c"),
        dict(role="assistant", content="<think>\nno\n</think>\n\nd"),
    ],
    "out of turn": [dict(role="user", content="a"), dict(role="user", content="b")],
    "tool": [
        dict(role="user", content="a"),
        dict(role="assistant", content="", tool_calls=[dict(type="function", function=dict(name="f", arguments=dict(y=1, x=["ü", 2.5])))]),
    ],
}


def tokenizer():
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.train_from_iterator(["user assistant system Hello who are you"], trainers.BpeTrainer(
        vocab_size=290, special_tokens=list(SPECIAL.values()), initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    inner.decoder = decoders.ByteLevel()
    return inner


def main():
    HERE.mkdir(exist_ok=True)
    inner = tokenizer()
    inner.save(str(HERE / "tokenizer.json"))
    (HERE / "tokenizer_config.json").write_text(json.dumps({
        **SPECIAL, "unk_token": dict(content="<unk>", special=True), "model_max_length": 64}, indent=2) + "\n")
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, **SPECIAL)
    found = {}
    for name, template in TEMPLATES.items():
        cases = []
        for chat_name, chat in CHATS.items():
            for prompt in (False, True):
                case = dict(chat=chat_name, add_generation_prompt=prompt)
                try:
                    case["text"] = fast.apply_chat_template(
                        chat, chat_template=template, tokenize=False, add_generation_prompt=prompt)
                    if name.startswith("generation") and not prompt:
                        out = fast.apply_chat_template(
                            chat, chat_template=template, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
                        case["ids"], case["assistant"] = out["input_ids"], out["assistant_masks"]
                except Exception as error:
                    case["error"] = str(error)
                cases.append(case)
        found[name] = dict(template=template, cases=cases)
    (HERE / "expected.json").write_text(json.dumps(dict(chats=CHATS, templates=found), ensure_ascii=False, indent=1) + "\n")
    for name, entry in found.items():
        print(name, sum("error" in case for case in entry["cases"]), {c["error"] for c in entry["cases"] if "error" in c})


if __name__ == "__main__":
    main()
