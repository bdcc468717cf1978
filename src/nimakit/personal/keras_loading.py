"""Loading a model in Keras, for people in general or with one person's taste."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nimakit.models.loading import load_model
from nimakit.models.pretrained import Notify
from nimakit.models.taste import read_taste

if TYPE_CHECKING:
    from nimakit.nn.networks.keras_model import KerasModel


def load_keras_model(
    name: str | os.PathLike[str], *, user_file: Path | None = None, notify: Notify | None = None
) -> "KerasModel":
    """Load a model in Keras, which can compute gradients.

    Args:
        name: A public model ("aesthetic"), a job folder, or the model.onnx in one.
        user_file: Taste file of the person whose scores it gives; None for people in general.
        notify: As for `load_model`.

    Raises:
        ModelError: No such model, or one without its Keras weights.
        TasteError: Not a taste file, or learned with another model.
        MissingExtraError: TensorFlow is not installed.
    """
    from nimakit.nn.networks import keras_model
    from nimakit.nn.personal import personal_model

    model = keras_model.load(name, notify=notify)
    if user_file is None:
        return model
    taste = read_taste(user_file)
    scored = load_model(name, notify=notify)
    taste.check_base(*scored.probe(), scored.name)
    name = f"{model.metadata.name} as {user_file.stem} sees it"
    return replace(personal_model.for_user(model, taste), metadata=replace(model.metadata, name=name))
