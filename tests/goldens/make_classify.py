"""Losses, measures and tokens of classifiers as torch, scikit-learn, SciPy and transformers give them. Run: python make_classify.py"""

import json
from pathlib import Path

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent / "classify"
VOCAB, D_MODEL, LABELS = 11, 6, 4
ROWS = [[1, 4, 2], [3, 5, 5, 9, 2], [7, 2], [10, 8, 6, 1, 2]]


def values(shape, seed):
    """As `values` of the Rust fixtures."""
    i = torch.arange(int(np.prod(shape)), dtype=torch.float32)
    return (0.5 * torch.sin(torch.tensor(seed, dtype=torch.float32) * 1.7 + i * 2.3) + 0.05).reshape(shape)


class Net(torch.nn.Module):
    """The mean of the tanh of embeddings, and a linear head; for tokens, the head at each position."""

    def __init__(self, n_labels):
        super().__init__()
        self.embed = torch.nn.Parameter(values((VOCAB, D_MODEL), 1.0))
        self.weight = torch.nn.Parameter(values((D_MODEL, n_labels), 2.0))
        self.bias = torch.nn.Parameter(values((n_labels,), 3.0))

    def tokens(self, row):
        return torch.tanh(self.embed[torch.tensor(row)]) @ (4 * self.weight) + self.bias

    def text(self, row):
        return torch.tanh(self.embed[torch.tensor(row)]).mean(0) @ (4 * self.weight) + self.bias


def losses():
    """The losses of transformers' heads: CrossEntropyLoss (ignoring -100), BCEWithLogitsLoss, MSELoss."""
    tags = [[0, -100, 2], [1, 3, -100, 0, -100], [-100, 1], [2, 2, 3, -100, 0]]
    problems = {
        "single-label": (LABELS, [2, 0, 3, 1], torch.nn.CrossEntropyLoss()),
        "multi-label": (LABELS, [[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0]], torch.nn.BCEWithLogitsLoss()),
        "regression": (1, [0.25, -1.5, 3.0, 0.75], torch.nn.MSELoss()),
        "tokens": (LABELS, tags, torch.nn.CrossEntropyLoss()),
    }
    found = {}
    for name, (n_labels, labels, loss_of) in problems.items():
        net = Net(n_labels)
        if name == "tokens":
            logits = torch.cat([net.tokens(row) for row in ROWS])
            target = torch.tensor(sum(labels, []))
        else:
            logits = torch.stack([net.text(row) for row in ROWS])
            target = torch.tensor(labels)
            if name == "multi-label":
                target = target.float()
            if name == "regression":
                logits = logits.squeeze()
        loss = loss_of(logits, target)
        loss.backward()
        found[name] = dict(
            labels=labels, loss=loss.item(), embed=net.embed.grad.flatten().tolist(),
            weight=net.weight.grad.flatten().tolist(), bias=net.bias.grad.flatten().tolist(),
        )
    return dict(rows=ROWS, problems=found)


def measures():
    rng = np.random.default_rng(3)
    n = 40
    single, truth = rng.normal(size=(n, LABELS)), rng.integers(0, LABELS - 1, size=n)
    single[np.arange(n), truth] += 1.0
    single[:, LABELS - 1] -= 9.0  # never there, never said: no part of the mean
    said = single.argmax(1)
    multi = rng.normal(size=(n, LABELS))
    applies = (multi + rng.normal(size=(n, LABELS)) > 0.3).astype(int)
    on = (multi > 0).astype(int)
    value = np.round(rng.normal(size=n), 1)  # with ties
    found = value * 0.7 + rng.normal(size=n)
    return {
        "single-label": dict(
            scores=single.tolist(), labels=truth.tolist(), accuracy=accuracy_score(truth, said),
            macro_f1=f1_score(truth, said, average="macro"), micro_f1=f1_score(truth, said, average="micro"),
        ),
        "multi-label": dict(
            scores=multi.tolist(), labels=applies.tolist(), accuracy=accuracy_score(applies, on),
            macro_f1=f1_score(applies, on, average="macro"), micro_f1=f1_score(applies, on, average="micro"),
        ),
        "regression": dict(
            scores=[[x] for x in found], labels=value.tolist(), mse=float(((found - value) ** 2).mean()),
            pearson=pearsonr(found, value).statistic, spearman=spearmanr(found, value).statistic,
        ),
    }


CORPUS = ["The quick brown foxes jumped over unbelievable lazy dogs .", "Angela Merkel visited Washington and Rotterdam .",
          "tokenization of unfriendly wordpieces is unavoidable", "over and over again the dogs visited the foxes"] * 3


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=90, special_tokens=special))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer, {}


def bytelevel():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, dict(add_prefix_space=True)


def tokens():
    """Truncation by transformers, and tags by the alignment of its token-classification example."""
    texts = [(text, n) for text in CORPUS[:3] + ["Foxes !"] for n in (4, 9, 64)]
    words = [(text.split(), n) for text in CORPUS[:3] for n in (7, 64)]
    for name, make in (("wordpiece", wordpiece), ("bytelevel", bytelevel)):
        tokenizer, for_words = make()
        (HERE / name).mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(HERE / name / "tokenizer.json"))
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
        if for_words:
            # What transformers does where it is asked for `add_prefix_space`, as its example asks for these tokenizers.
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        split = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
        cases = []
        for text, n in texts:
            cases.append(dict(text=text, max_length=n, ids=fast(text, truncation=True, max_length=n)["input_ids"]))
        pairs = []
        for first, second in ((CORPUS[1], "Foxes !"), ("Foxes !", CORPUS[2]), (CORPUS[0], CORPUS[3])):
            for n in (9, 10, 14, 64):
                found = fast(first, second, truncation=True, max_length=n, return_token_type_ids=True)
                pairs.append(dict(text=first, pair=second, max_length=n, ids=found["input_ids"], types=found["token_type_ids"]))
        tagged = []
        for row, n in words:
            found = split(row, is_split_into_words=True, truncation=True, max_length=n)
            tags, before = [], None
            for word in found.word_ids():
                tags.append(-100 if word is None or word == before else word % 3)
                before = word
            tagged.append(dict(tokens=row, tags=[i % 3 for i in range(len(row))], max_length=n,
                               ids=found["input_ids"], labels=tags))
        dump(HERE / name / "expected.json", dict(texts=cases, pairs=pairs, words=tagged))


def dump(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    dump(HERE / "losses.json", losses())
    dump(HERE / "measures.json", measures())
    tokens()
