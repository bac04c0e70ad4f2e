"""The layers that PEFT adapts on each family where a config names none, in `default_targets.json`. Run: python make_default_targets.py"""

import json

from peft.utils import constants

from common import HERE

FAMILIES = ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3", "gpt2", "bert", "roberta", "xlm-roberta", "distilbert", "modernbert"]
TABLES = {
    "LORA": dict(target_modules=constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING),
    "IA3": dict(target_modules=constants.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
                feedforward_modules=constants.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING),
}
found = {method: {family: {field: table.get(family) for field, table in fields.items()} for family in FAMILIES} for method, fields in TABLES.items()}
(HERE / "default_targets.json").write_text(json.dumps(found, indent=1) + "\n")
