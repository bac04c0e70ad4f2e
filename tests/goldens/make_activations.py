"""What transformers' elementwise functions give, with their gradients: `activations.json`. Run: python make_activations.py"""

import json

import torch
from transformers.activations import ACT2FN

from common import HERE

# Those with parameters of their own are no functions of their input alone.
LEARNED = {"prelu", "xielu"}
# None where a function has a bend, whose gradient is a matter of convention.
POINTS = [-30.0, -11.0, -10.5, -6.25, -3.5, -3.1, -2.9, -1.3, -0.75, -0.2, -1e-3, 1e-3, 0.3, 0.707, 1.1, 2.5, 3.01, 5.9, 6.5, 9.99, 10.5, 25.0]


def main():
    found = {}
    for name in sorted(set(ACT2FN) - LEARNED):
        x = torch.tensor(POINTS, requires_grad=True)
        y = ACT2FN[name](x)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        found[name] = dict(value=y.tolist(), gradient=gradient.tolist())
    (HERE / "activations.json").write_text(json.dumps(dict(points=POINTS, functions=found)) + "\n")
    print(len(found), "functions")


if __name__ == "__main__":
    main()
