"""The Keras side of a model, for what needs gradients: explanations, edits, one person's taste."""

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
    """A model whose scores can be differentiated; it gives what its .onnx file gives.

    Attributes:
        network: From `nimakit.nn.networks.heads`, one flat list of layers: preprocessed pixels to (N, bins)
            float32, rows sum to 1; or to (N, 1) scores.
        backbone: Its backbone, with the preprocessing.
        config: What it was built by: head, input size, pooled levels.
        metadata: What its model file says of it: name, bins, preprocessing.
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
        """(bins,) float64, the value of each bin, ascending; the ends of the scale for a regression head."""
        return np.asarray(self.metadata.bins, np.float64)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input, in pixels."""
        height, width = self.network.input.shape[1:3]
        return height, width

    def values(self, pixels: Any) -> Any:
        """Differentiable outputs.

        Args:
            pixels: (N, height, width, 3) float32 tensor, RGB, 0-255.

        Returns:
            (N, bins) float32, rows sum to 1; or (N, 1), scores on the scale of the bins.
        """
        return self.network(self.backbone.preprocess(pixels), training=False)

    def means(self, values: Any) -> Any:
        """Mean scores, (N,) float32 on the scale of the bins, of what `values` gave."""
        if self.is_regression:
            return values[:, 0]
        return keras.ops.sum(values * self.bins.astype(np.float32), axis=1)

    def score(self, photo: Photo) -> float:
        """The mean score of a photograph, on the scale of the bins: what the engine gives."""
        pixels = prepare(photo, self.metadata.preprocessing).astype(np.float32)
        return float(self.means(self.values(pixels[None]))[0])

    def at_size(self, height: int, width: int) -> "KerasModel":
        """The same weights behind another input size, in pixels.

        Raises:
            ModelError: The backbone cannot be built at this size.
        """
        if (height, width) == self.size:
            return self
        network = _build(self.backbone, self.bins, replace(self.config, input_size=(height, width)))
        network.set_weights(self.network.get_weights())
        return replace(self, network=network)


def load(name: str | os.PathLike[str], *, notify: Notify | None = None) -> KerasModel:
    """Load the Keras side of a model by what people call it.

    Args:
        name: A public model ("aesthetic"), a job folder, or the model.onnx in one.
        notify: Told in a sentence when a download is about to start.

    Returns:
        The model; a job's is held to the scores of its model.onnx.

    Raises:
        ModelError: No such model, one without its Keras weights, or weights that give other scores.
        ConfigError: A broken config.json.
        DownloadError: Public weights that are neither cached nor reachable.
    """
    path = Path(name)
    if str(name) in pretrained.public_models():
        return _load_public(str(name), notify)
    if path.suffix.lower() == ".json":
        members = ", ".join(member.model for member in read_ensemble_config(path).members)
        raise ModelError(
            f"Gradients come from one network. Received: the ensemble {path}; name a member: {members}"
        )
    if path.suffix.lower() == ".onnx" and path.is_file():
        return _load_job(Job(path.absolute().parent), path)
    if path.is_dir():
        job = Job(path.absolute())
        return _load_job(job, job.model_file)
    raise ModelError(
        f"The Keras side of a model is that of a public one ({', '.join(pretrained.public_models())}), of a"
        f" job folder, or of its model.onnx. Received: {name}"
    )


def load_weights(weights_file: Path, config: TrainConfig, *, name: str | None = None) -> KerasModel:
    """Load Keras weights.

    Args:
        weights_file: As `nimakit.nn.networks.weights.load` takes it.
        config: What they were trained with; its n_classes counts for a regression head alone.
        name: What people call the model; the file's name where None.

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
    return _load(weights_file, backbone, config, metadata)


def _load_public(name: str, notify: Notify | None) -> KerasModel:
    config = TrainConfig(base_model_name=pretrained.public_models()[name].base_model)
    return load_weights(pretrained.fetch_weights(name, notify), config, name=name)


def _load_job(job: Job, model_file: Path) -> KerasModel:
    found = sorted(job.weights.glob("*.weights.h5")) if job.config_file.is_file() else []
    if not found:
        raise ModelError(
            "Gradients need the Keras weights a model file was made of: its job's config.json and weights,"
            f" beside it. Received: {model_file}, without them; give the job's folder, or a public model"
            f" ({', '.join(pretrained.public_models())})."
        )
    if len(found) > 1:
        raise ModelError(
            f"A job keeps the weights of one epoch once it ends. Received: {job.folder}, with {len(found)};"
            f" finish it: nimakit train --resume {job.folder}"
        )
    config = read_train_config(job.config_file)
    exported = Network(model_file)
    model = _load(found[0], backbones.get(config.base_model_name), config, exported.metadata)
    _check(model, exported, found[0], model_file)
    return model


def _load(
    weights_file: Path, backbone: backbones.Backbone, config: TrainConfig, metadata: Metadata
) -> KerasModel:
    prepared = metadata.preprocessing
    config = replace(config, input_size=(prepared.height, prepared.width))
    network = _build(backbone, np.asarray(metadata.bins, np.float64), config)
    weights.load(network, weights_file)
    network.trainable = False
    return KerasModel(network=network, backbone=backbone, config=config, metadata=metadata)


def _build(backbone: backbones.Backbone, bins: FloatArray, config: TrainConfig) -> keras.Model:
    base = backbone.build(input_size=config.input_size)
    return heads.of_config(base, bins, config)


def _check(model: KerasModel, exported: Network, weights_file: Path, model_file: Path) -> None:
    """A job that was stopped and went on may have newer weights than its model file."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, *model.size, 3)).astype(np.float32)
    expected = exported.run(pixels).values
    values = np.asarray(model.values(keras.ops.convert_to_tensor(pixels)))
    tolerance = _TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if values.shape != expected.shape or not float(np.abs(values - expected).max()) <= tolerance:
        raise ModelError(
            f"Weights must give what the model file made of them gives. Received: {weights_file}, which gives"
            f" other scores than {model_file}; finish the job, or export it anew."
        )
