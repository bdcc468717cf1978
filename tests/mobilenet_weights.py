"""NIMA weights on MobileNet with random numbers, and the technical model made of them."""

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest

from nimakit.io.cache import blob_id
from nimakit.models import mobilenet, pretrained


def write_weights(path: Path, bins: int = 10) -> Path:
    """Write random weights as Keras 2 did."""
    generator = np.random.default_rng(0)
    layers = [*mobilenet.layers(), ("rating", ((1024, bins), (bins,)))]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name, _ in layers]
        for name, shapes in layers:
            group = file.create_group(name)
            names = [f"{name}/{number}:0" for number in range(len(shapes))]
            group.attrs["weight_names"] = [text.encode() for text in names]
            for text, shape in zip(names, shapes, strict=True):
                values = generator.uniform(0.5, 1.0, shape) / np.prod(shape[:-1] or (1,))
                group[text] = values.astype("f4")
    return path


def stand_in_for_technical(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put random weights into a cache by hand, and let their blob id be that of the technical model."""
    public = pretrained.PUBLIC["technical"]
    cache.mkdir(exist_ok=True)
    path = write_weights(cache / public.file_name)
    nowhere = f"http://127.0.0.1:9/{public.file_name}"
    injected = dataclasses.replace(public, blob_id=blob_id(path), url=nowhere)
    monkeypatch.setitem(pretrained.PUBLIC, "technical", injected)
    return path
