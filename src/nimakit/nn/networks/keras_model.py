"""A model as a Keras network, for what needs gradients: explanations, edits, one person's taste."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from nimakit.config import TrainConfig, read_ensemble_config, read_train_config
from nimakit.errors import ModelError
from nimakit.images.photo import Photo, prepare
from nimakit.jobs import Job
from nimakit.models import pretrained
from nimakit.models.metadata import Metadata
from nimakit.models.network import Network
from nimakit.models.pretrained import Notify
from nimakit.nn.networks import backbones, heads, weights
from nimakit.stats.histogram import FloatArray, default_bins

_TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KerasModel:
    """A model with differentiable scores, which are those of its .onnx file.

    Attributes:
        network: From `nimakit.nn.networks.heads`, one flat list of layers: preprocessed pixels to (N, bins)
            float32, rows sum to 1; or to (N, 1) scores.
        backbone: Its backbone, with the preprocessing of pixels.
        config: Its head, input size and pooled levels.
        metadata: The metadata of its model file: name, bins, preprocessing.
    """

    network: keras.Model
    backbone: backbones.Backbone
    config: TrainConfig
    metadata: Metadata

    @property
    def is_regression(self) -> bool:
        """Whether the head gives a score rather than a histogram."""
        return self.config.head == "regression"

    @property
    def bins(self) -> FloatArray:
        """(bins,) float64, their values, ascending; for a regression head the ends are those of the scale."""
        return np.asarray(self.metadata.bins, np.float64)

    def values(self, pixels: Any) -> Any:
        """Differentiable outputs.

        Args:
            pixels: (N, height, width, 3) float32 tensor, RGB, 0-255.

        Returns:
            (N, bins) float32, rows sum to 1; or (N, 1), scores on the scale of the bins.
        """
        return self.network(self.backbone.preprocess(pixels), training=False)

    def means(self, values: Any) -> Any:
        """(N,) float32 mean scores on the scale of the bins, from outputs of `values`."""
        if self.is_regression:
            return values[:, 0]
        return keras.ops.sum(values * self.bins.astype(np.float32), axis=1)

    def score(self, photo: Photo) -> float:
        """The mean score of a photo, on the scale of the bins."""
        pixels = prepare(photo, self.metadata.preprocessing).astype(np.float32)
        return float(self.means(self.values(pixels[None]))[0])


def load(name: str | os.PathLike[str], *, notify: Notify | None = None) -> KerasModel:
    """Load a model as a Keras network.

    Args:
        name: A public model ("aesthetic"), a job folder, or the model.onnx in one.
        notify: Called with a message before a download.

    Returns:
        The model; that of a job is checked against its model.onnx.

    Raises:
        ModelError: No such model, no Keras weights, or weights that give other scores than model.onnx.
        ConfigError: A broken config.json.
        DownloadError: Public weights that are neither cached nor reachable.
    """
    path = Path(name)
    if str(name) in pretrained.public_models():
        return _load_public(str(name), notify)
    if path.suffix.lower() == ".json":
        members = ", ".join(member.model for member in read_ensemble_config(path).members)
        raise ModelError(
            f"Gradients come from one network. Received: the ensemble {path}; choose a member: {members}"
        )
    if path.suffix.lower() == ".onnx" and path.is_file():
        return _load_job(Job(path.absolute().parent), path)
    if path.is_dir():
        job = Job(path.absolute())
        return _load_job(job, job.model_file)
    raise ModelError(
        f"Gradients need a public model ({', '.join(pretrained.public_models())}), a job folder, or its"
        f" model.onnx. Received: {name}"
    )


def load_weights(weights_file: Path, config: TrainConfig, *, name: str | None = None) -> KerasModel:
    """Load Keras weights.

    Args:
        weights_file: A file for `nimakit.nn.networks.weights.load`.
        config: The config they were trained with; n_classes matters only for a regression head.
        name: Name of the model; that of the file if None.

    Raises:
        ModelError: No such backbone.
        WeightsError: Weights that cannot be read or do not fit it.
    """
    backbone = backbones.get(config.base_model_name)
    base = backbone.build(input_size=config.input_size)
    is_regression = config.head == "regression"
    bins = default_bins(config.n_classes if is_regression else weights.count_bins(base, weights_file))
    metadata = Metadata(
        name=name or weights_file.name,
        base_model=config.base_model_name,
        bins=tuple(bins.tolist()),
        preprocessing=backbone.preprocessing(config),
    )
    return _load(weights_file, backbone, base, config, metadata)


def _load_public(name: str, notify: Notify | None) -> KerasModel:
    config = TrainConfig(base_model_name=pretrained.public_models()[name].base_model)
    return load_weights(pretrained.fetch_weights(name, notify), config, name=name)


def _load_job(job: Job, model_file: Path) -> KerasModel:
    found = sorted(job.weights.glob("*.weights.h5")) if job.config_file.is_file() else []
    if not found:
        raise ModelError(
            "Gradients need the Keras weights a model file was made from: its job's config.json and weights."
            f" Received: {model_file}, without them; pass the job's folder, or a public model"
            f" ({', '.join(pretrained.public_models())})."
        )
    if len(found) > 1:
        raise ModelError(
            f"A finished job has the weights of one epoch. Received: {job.folder}, with {len(found)};"
            f" finish it: nimakit train --resume {job.folder}"
        )
    exported = Network(model_file)
    size = exported.metadata.preprocessing
    config = replace(read_train_config(job.config_file), input_size=(size.height, size.width))
    backbone = backbones.get(config.base_model_name)
    base = backbone.build(input_size=config.input_size)
    model = _load(found[0], backbone, base, config, exported.metadata)
    _check(model, exported, found[0], model_file)
    return model


def _load(
    weights_file: Path,
    backbone: backbones.Backbone,
    base: keras.Model,
    config: TrainConfig,
    metadata: Metadata,
) -> KerasModel:
    network = heads.add_head(base, np.asarray(metadata.bins, np.float64), config)
    weights.load(network, weights_file)
    network.trainable = False
    return KerasModel(network=network, backbone=backbone, config=config, metadata=metadata)


def _check(model: KerasModel, exported: Network, weights_file: Path, model_file: Path) -> None:
    """Refuse newer weights than those of the model file, as a stopped and resumed job may have."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, *model.network.input.shape[1:])).astype(np.float32)
    expected = exported.run(pixels).values
    values = np.asarray(model.values(keras.ops.convert_to_tensor(pixels)))
    tolerance = _TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if values.shape != expected.shape or not float(np.abs(values - expected).max()) <= tolerance:
        raise ModelError(
            f"Keras weights must give the scores of their model file. Received: {weights_file}, which gives"
            f" other scores than {model_file}; finish the job, or export it again."
        )
