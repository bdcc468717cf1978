"""Checks of the base model and the weights of a config, before a job is created."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nimakit.config import RANDOM_WEIGHTS, TrainConfig
from nimakit.errors import NimakitError, UsageError
from nimakit.models.pretrained import PUBLIC
from nimakit.stats.histogram import default_bins
from nimakit.training.problems import collect


def model_problems(values: Mapping[str, Any]) -> list[NimakitError]:
    """Problems with the base model and the weights of a config."""
    from nimakit.nn.networks import backbones

    problems: list[NimakitError] = []
    name, weights = values.get("base_model_name"), values.get("existing_weights")
    is_known = name is not None and collect(problems, lambda: backbones.get(name)) is not None
    is_file = False
    if weights in PUBLIC and name not in (None, PUBLIC[weights].base_model):
        problems.append(
            UsageError(
                f"existing_weights must be of the base model. Received: {weights}, which is of"
                f" {PUBLIC[weights].base_model}, for {name}"
            )
        )
    elif weights not in (None, RANDOM_WEIGHTS, *PUBLIC):
        is_file = bool(collect(problems, lambda: _refuse_no_weights(Path(str(weights)))))
    size, levels = values.get("input_size"), values.get("pooled_levels", 1)
    if is_known and (is_file or levels > 1 or (size and min(size) < backbones.INPUT_SIZE)):
        file = Path(str(weights)) if is_file else None
        collect(problems, lambda: _build(str(name), size and tuple(size), levels, file))
    return problems


def _build(name: str, input_size: tuple[int, int] | None, levels: int, weights: Path | None) -> bool:
    """Try to build a network and load its weights, because only the backbone knows what fits it.

    Raises:
        ModelError: It cannot be built.
        WeightsError: The weights do not fit.
    """
    from nimakit.nn.networks import backbones, heads
    from nimakit.nn.networks.weights import load_pretrained

    base = backbones.get(name).build(input_size=input_size)
    config = TrainConfig(base_model_name=name, pooled_levels=levels)
    model = heads.add_head(base, default_bins(2), config)
    if weights:
        load_pretrained(model, weights)
    return True


def _refuse_no_weights(weights: Path) -> bool:
    from nimakit.models import torch_files
    from nimakit.models.weight_files import SUFFIXES

    if not weights.is_file():
        raise UsageError(
            "existing_weights must be a Keras weight file, null (ImageNet), 'random', or public weights"
            f" ({', '.join(PUBLIC)}). Received: {weights}, which does not exist"
        )
    suffixes = (*SUFFIXES, *torch_files.SUFFIXES)
    if not weights.name.endswith(suffixes):
        raise UsageError(
            f"A file of existing_weights must end in {', '.join(suffixes)}; others can run code and are never"
            f" loaded. Received: {weights}"
        )
    return True
