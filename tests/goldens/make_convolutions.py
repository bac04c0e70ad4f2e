"""LoRA of PEFT's on convolutions.

    python make_convolutions.py
    python make_convolutions.py NAME DIR

`convolutions/NAME/` gets an adapter each, and `convolutions/values.json` the base's tensors, the
inputs, what the base makes of them, and what each adapted model does; `grouped` is of another base,
whose last layer has two groups. With NAME and DIR the directory, which was written elsewhere, is
loaded in PEFT, and its outputs are compared with those of NAME.
"""

import json
import shutil
import sys
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

HERE = Path(__file__).parent / "convolutions"
ON = ["line", "first", "point"]
CONFIGS = {
    "lora": LoraConfig(r=2, lora_alpha=3, target_modules=ON),
    # A rank above the channels of all layers, and biases.
    "rslora": LoraConfig(r=7, lora_alpha=3, target_modules=ON, use_rslora=True, rank_pattern={"point": 3},
                         alpha_pattern={"line": 5}, bias="lora_only"),
    "dora": LoraConfig(r=3, lora_alpha=4, target_modules=ON, use_dora=True),
    "grouped": LoraConfig(r=2, lora_alpha=3, target_modules=["point"]),
}


class Net(nn.Module):
    def __init__(self, groups=1):
        super().__init__()
        self.line = nn.Conv1d(3, 4, 3, stride=2, padding=1)
        self.first = nn.Conv2d(2, 6, (3, 2), stride=(1, 2), padding=(1, 0), bias=False)
        self.point = nn.Conv2d(6, 4, 1, groups=groups)

    def forward(self, x):
        line, image = x
        return torch.cat([self.line(line).flatten(), self.point(self.first(image)).flatten()])


def make(name, base, x):
    grouped = name == "grouped"
    net = Net(groups=2) if grouped else Net()
    if not grouped:
        net.load_state_dict(base)
    model = get_peft_model(net, CONFIGS[name]).train()
    optim = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 0.1)
    for _ in range(5):
        optim.zero_grad()
        (model(x) - 1).pow(2).mean().backward()
        optim.step()
    model.eval()
    model.save_pretrained(HERE / name)
    (HERE / name / "README.md").unlink()
    path = HERE / name / "adapter_config.json"
    saved = json.loads(path.read_text())
    path.write_text(json.dumps(saved | {"target_modules": sorted(saved["target_modules"])}, indent=2) + "\n")
    return model(x)


def main():
    torch.manual_seed(5)
    x = [torch.randn(2, 3, 9), torch.randn(2, 2, 6, 9)]
    net = Net()
    base = net.state_dict()
    shutil.rmtree(HERE, ignore_errors=True)
    values = {"base": {key: value.flatten().tolist() for key, value in base.items()}, "of_base": net(x).tolist()}
    values |= {"line": x[0].flatten().tolist(), "image": x[1].flatten().tolist()}
    values |= {name: make(name, dict(base), x).tolist() for name in CONFIGS}
    (HERE / "values.json").write_text(json.dumps(values) + "\n")


def compare(name, dir):
    values = json.loads((HERE / "values.json").read_text())
    net = Net()
    net.load_state_dict({key: torch.tensor(values["base"][key]).reshape(value.shape) for key, value in net.state_dict().items()})
    x = [torch.tensor(values["line"]).reshape(2, 3, 9), torch.tensor(values["image"]).reshape(2, 2, 6, 9)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # keys that are missing or left over
        y = PeftModel.from_pretrained(net, dir).eval()(x)
    of_base, expected = torch.tensor(values["of_base"]), torch.tensor(values[name])
    apart = (y - expected).abs().max().item()
    print(f"{name}: {apart:.1e} from the golden, which is {(expected - of_base).abs().max():.1e} from the base")
    assert apart < 1e-5


if __name__ == "__main__":
    compare(*sys.argv[1:]) if sys.argv[1:] else main()
