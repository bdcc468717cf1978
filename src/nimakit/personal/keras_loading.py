"""Load the Keras side of a model, for people in general or with one person's taste."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nimakit.jobs import Job
from nimakit.models.loading import load_model
from nimakit.models.pretrained import Notify
from nimakit.models.taste import read_taste

if TYPE_CHECKING:
    from nimakit.nn.networks.keras_model import KerasModel


def load_keras_model(
    name: str | os.PathLike[str], *, user_file: Path | None = None, notify: Notify | None = None
) -> "KerasModel":
    """Load the Keras side of a model, which has gradients.

    Args:
        name: A public model ("aesthetic"), a job folder, or the model.onnx in one.
        user_file: The taste of a person whose scores it gives, named after them; None for people in general.
        notify: As for `load_model`.

    Raises:
        ModelError: No such model, or one without its Keras weights.
        TasteError: No user's file, or one learned with another model.
        MissingExtraError: TensorFlow is not installed.
    """
    from nimakit.nn.networks import keras_model
    from nimakit.nn.personal import personal_model

    model = keras_model.load(name, notify=notify)
    if user_file is None:
        return model
    taste = read_taste(user_file)
    scored = load_model(Job(Path(name)).model_file if Path(name).is_dir() else name, notify=notify)
    taste.check_base(*scored.probe(), scored.name)
    name = f"{model.metadata.name} as {user_file.stem} sees it"
    return replace(personal_model.for_user(model, taste), metadata=replace(model.metadata, name=name))
