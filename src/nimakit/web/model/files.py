"""Model files that the app makes: a head joined with its encoder, checked on a rated picture."""

from pathlib import Path

import numpy as np

from nimakit.errors import ImageError, ModelError
from nimakit.heads import fitting, joining
from nimakit.heads.learning_curve import labels_of, without_levels
from nimakit.images.photo import open_photo, prepare
from nimakit.io.atomic import atomic_bytes, atomic_copy, output_errors
from nimakit.io.cache import sha256
from nimakit.models.encoders import Encoder
from nimakit.models.metadata import Metadata
from nimakit.models.network import Network
from nimakit.stats import histogram
from nimakit.web.db.tables import Collection
from nimakit.web.model.training_data import TrainingData

_QUANTILES = 101
_TOLERANCE = 5e-3
"""Largest difference of features, as a share of the largest: the database rounds them to float16."""
_CHECKED = 3
"""Pictures tried for the check, as some may have been deleted."""


def model_file(folder: Path, collection: Collection) -> Path:
    """The file of a collection's latest model, which the next one replaces.

    Args:
        folder: `nimakit.web.settings.Settings.models_dir`.
        collection: The collection.
    """
    return folder / collection.slug / "model.onnx"


def copy_of(file: Path) -> Path:
    """Where a copy of a model file is kept that the next one does not replace, named by its content."""
    return file.with_name(f"{sha256(file)[:12]}.onnx")


def keep_copy(file: Path) -> Path:
    """Make the copy, unless there is one.

    Raises:
        OutputError: It could not be written.
    """
    copy = copy_of(file)
    if not copy.exists():
        atomic_copy(file, copy)
    return copy


def is_learned(folder: Path, collection: Collection) -> bool:
    """Whether the model that predicts a collection's scores was learned from its ratings.

    Args:
        folder: As for `model_file`.
        collection: The collection.
    """
    return collection.model is not None and Path(collection.model).parent == folder / collection.slug


def encoder_label(folder: Path, collection: Collection, encoder: Encoder) -> str:
    """Name and input size of an encoder; of an earlier learned model, those of the encoder in it."""
    is_own = encoder.path == Path(collection.model or "") and is_learned(folder, collection)
    return encoder.metadata.base_model if is_own else encoder.label


def write_model(folder: Path, collection: Collection, encoder: Encoder, data: TrainingData) -> Path:
    """Fit a head to all ratings, and write it joined with its encoder.

    Args:
        folder: As for `model_file`.
        collection: The collection.
        encoder: Whose features are in the data.
        data: What to learn from.

    Returns:
        The file.

    Raises:
        ModelError: The encoder cannot be joined with a head, or gives other features than were learned from.
        OutputError: The file could not be written.
    """
    bins = collection.scale.bins
    labels, counts = labels_of(without_levels(data.ratings, bins), bins)
    head = fitting.fit([data.features[None]], labels, bins, counts=counts).fitted.head
    label = encoder_label(folder, collection, encoder)
    metadata = _metadata(collection, encoder, label, len(data.ratings), histogram.mean(labels, bins))
    content = joining.join([encoder.graph()], head, metadata).SerializeToString()
    _check(Network(content), data)
    file = model_file(folder, collection)
    with output_errors(str(file)):
        file.parent.mkdir(parents=True, exist_ok=True)
    atomic_bytes(content, file)
    return file


def _metadata(
    collection: Collection, encoder: Encoder, label: str, ratings: int, means: np.ndarray
) -> Metadata:
    bins = collection.scale.bins
    trained_on = f"{ratings} ratings of {len(means)} photographs, from {bins[0]:g} to {bins[-1]:g}"
    return Metadata(
        name=f"{collection.slug}-{ratings}",
        base_model=label,
        bins=tuple(bins.tolist()),
        preprocessing=encoder.preprocessing,
        trained_on=trained_on,
        licence=encoder.metadata.licence,
        reference_quantiles=tuple(np.quantile(means, np.linspace(0, 1, _QUANTILES)).round(6).tolist()),
        reference=f"mean ratings people gave the {len(means)} photographs it learned from",
    )


def _check(network: Network, data: TrainingData) -> None:
    """Check that the joined file gives the features that were learned from; not without any picture."""
    for path, expected in zip(data.paths[:_CHECKED], data.features, strict=False):
        try:
            pixels = prepare(open_photo(path), network.metadata.preprocessing)[None]
        except ImageError:
            continue
        worst = float(np.abs(network.run(pixels).features[0] - expected).max())
        if not worst <= _TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise ModelError(
                "The model file must give the features that were learned from. Received: features that are"
                f" off by {worst:g} for {path.name}; scan the folder again on the page Settings."
            )
        return
