"""Adapters of PEFT's on a model with running statistics: `python make_batch_norm.py`.

A BatchNorm is in `modules_to_save`, so its statistics move in training and are in the file. `batch_norm/` gets the adapter, and
`values.json` with the base's tensors, some rows, and what the base and the adapted model make of them out of training.
"""

import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

HERE = Path(__file__).parent / "batch_norm"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(3, 4)
        self.bn = nn.BatchNorm1d(4)
        self.down = nn.Linear(4, 2)

    def forward(self, x):
        return self.down(self.bn(self.up(x)))


def main():
    torch.manual_seed(3)
    net = Net()
    net.bn.running_mean = torch.tensor([0.5, -0.25, 1.0, 0.0])
    net.bn.running_var = torch.tensor([2.0, 0.5, 1.0, 3.0])
    base = {key: value.tolist() for key, value in net.state_dict().items()}
    x = torch.randn(6, 3) * 2 + 1
    net.eval()
    of_base = net(x).tolist()
    config = LoraConfig(r=2, lora_alpha=3, target_modules=["up", "down"], modules_to_save=["bn"])
    model = get_peft_model(net, config).train()
    optim = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    for _ in range(5):
        optim.zero_grad()
        model(x).pow(2).mean().backward()
        optim.step()
    model.eval()
    shutil.rmtree(HERE, ignore_errors=True)
    model.save_pretrained(HERE)
    (HERE / "README.md").unlink()
    values = {"base": base, "x": x.tolist(), "of_base": of_base, "y": model(x).tolist()}
    (HERE / "values.json").write_text(json.dumps(values) + "\n")


def load(dir):
    """What PEFT makes of the rows with the adapter in `dir`, which may have been written elsewhere."""
    values = json.loads((HERE / "values.json").read_text())
    net = Net()
    net.load_state_dict({key: torch.tensor(value) for key, value in values["base"].items()})
    return PeftModel.from_pretrained(net, dir).eval()(torch.tensor(values["x"]))


if __name__ == "__main__":
    main()
