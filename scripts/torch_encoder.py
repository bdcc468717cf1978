"""Export the small encoder with random weights that the tests import, as PyTorch exports networks.

    pip install torch onnxscript
    python scripts/torch_encoder.py tests/data/encoders/torch_vit.onnx

A vision transformer with the input and the outputs of Hugging Face's exports: ``pixel_values``
(N, 3, 32, 32); ``last_hidden_state`` (N, 17, 32), the class token and 4x4 patches of 8 pixels;
``pooler_output`` (N, 32).
"""

import sys
from typing import Any

import onnx
import torch
from torch import nn

_SIDE, _PATCH, _WIDTH, _HEADS, _LAYERS = 32, 8, 32, 4, 2


class _Layer(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.mix, self.out = nn.Linear(_WIDTH, 3 * _WIDTH), nn.Linear(_WIDTH, _WIDTH)
        self.wide = nn.Sequential(nn.Linear(_WIDTH, 2 * _WIDTH), nn.GELU(), nn.Linear(2 * _WIDTH, _WIDTH))

    def forward(self, x: Any) -> Any:
        parts = self.mix(self.before(x)).unflatten(-1, (3, _HEADS, _WIDTH // _HEADS))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.wide(self.after(x))


class _VisionTransformer(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, _WIDTH, _PATCH, _PATCH)
        self.first = nn.Parameter(torch.randn(1, 1, _WIDTH))
        self.places = nn.Parameter(0.1 * torch.randn(1, 1 + (_SIDE // _PATCH) ** 2, _WIDTH))
        self.layers = nn.Sequential(*(_Layer() for _ in range(_LAYERS)))
        self.norm = nn.LayerNorm(_WIDTH)
        self.pooler = nn.Linear(_WIDTH, _WIDTH)

    def forward(self, pixel_values: Any) -> Any:
        x = self.patches(pixel_values).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(x.shape[0], -1, -1), x], dim=1) + self.places
        x = self.norm(self.layers(x))
        return x, torch.tanh(self.pooler(x[:, 0]))


torch.manual_seed(0)
torch.onnx.export(
    _VisionTransformer().eval(),
    (torch.zeros(2, 3, _SIDE, _SIDE),),
    sys.argv[1],
    input_names=["pixel_values"],
    output_names=["last_hidden_state", "pooler_output"],
    dynamic_shapes={"pixel_values": {0: torch.export.Dim("batch_size")}},
    external_data=False,
)
model = onnx.load(sys.argv[1])
for node in model.graph.node:
    node.ClearField("metadata_props")  # stack traces, with the paths of this machine
onnx.save(model, sys.argv[1])
