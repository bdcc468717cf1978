"""Loading a model by name: public models, files, job folders, ensembles, Keras weights, configs."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from nimakit.config import RANDOM_WEIGHTS, TrainConfig, read_ensemble_config
from nimakit.errors import ConfigError, MissingExtraError, UsageError, WeightsError
from nimakit.jobs import Job
from nimakit.models.conversion import convert, fetch
from nimakit.models.engine import Member, Model
from nimakit.models.names import ModelSource
from nimakit.models.network import Network
from nimakit.models.pretrained import DEFAULT_MODEL, PUBLIC, Notify, public_models
from nimakit.models.side_by_side import SideBySide


def load_model(name: str | os.PathLike[str] = DEFAULT_MODEL, *, notify: Notify | None = None) -> Model:
    """Load a model by name or file.

    Args:
        name: A public model ("aesthetic", "technical"), an .onnx file, a job folder, or an ensemble (.json).
        notify: Called with a sentence before a download or conversion starts.

    Raises:
        ModelError: No such model or file, or one that breaks the contract.
        ConfigError: A broken ensemble file.
        DownloadError: Public weights are neither cached nor reachable.

    Example:
        >>> import nimakit
        >>> nimakit.load_model("aesthetic").name
        'aesthetic'
    """
    if Path(name).suffix.lower() == ".json":
        ensemble = read_ensemble_config(name)
        members: list[Member] = []
        for config in ensemble.members:
            if Path(config.model).suffix.lower() == ".json":
                raise ConfigError(
                    f"A member of an ensemble must be one model. Received: {config.model} in {name}"
                )
            path = _model_file(config.model, Path(name).parent, notify)
            members.append(Member(Network(path), config.weight))
        return Model(members, name=ensemble.name)
    return Model([Member(Network(_model_file(name, Path(), notify)))])


def model_files(*names: str | os.PathLike[str]) -> list[Path]:
    """The user's own files behind names of models: none for a public model.

    Raises:
        ConfigError: A broken ensemble file.
    """
    files: list[Path] = []
    for path in map(Path, names):
        if path.suffix.lower() == ".json":
            members = read_ensemble_config(path).members
            files += [path, *(file for member in members for file in _own_file(member.model, path.parent))]
        else:
            files += _own_file(path, Path())
    return files


def _own_file(name: str | os.PathLike[str], folder: Path) -> list[Path]:
    """The file of one model; none for a public model."""
    path = folder / name
    if path.suffix.lower() == ".onnx":
        return [path]
    return [Job(path).model_file] if str(name) not in public_models() and path.is_dir() else []


def load_models(names: Sequence[str], *, notify: Notify | None = None) -> Model:
    """Load one model, or several averaged with equal weights.

    Raises:
        As `load_model`.
    """
    models = [load_model(name, notify=notify) for name in names]
    if len(models) == 1:
        return models[0]
    members = [
        Member(member.network, member.weight / sum(m.weight for m in model.members))
        for model in models
        for member in model.members
    ]
    return Model(members, name=" + ".join(model.name for model in models))


def load_side_by_side(sources: Sequence[ModelSource], *, notify: Notify | None = None) -> SideBySide:
    """Load several models that each score every image.

    Raises:
        UsageError: Fewer than two, or a name that score records use for something else.
        ModelError, ConfigError, DownloadError: As `load_model`.
    """
    return SideBySide({source.name: load_model(source.model, notify=notify) for source in sources})


def load_weights(
    weights_file: str | os.PathLike[str],
    base_model_name: str,
    *,
    config: TrainConfig | None = None,
    notify: Notify | None = None,
) -> Model:
    """Load Keras weights, which are converted once and cached by content.

    Args:
        weights_file: .hdf5, .h5, .weights.h5, or a .keras archive without code.
        base_model_name: Their backbone.
        config: Their head and preprocessing; those of published NIMA models if None.
        notify: As for `load_model`.

    Raises:
        WeightsError: A missing or unsafe file, or weights of another network.
        MissingExtraError: TensorFlow is needed for the conversion, and not installed.
    """
    path = convert(Path(weights_file), base_model_name, config=config, notify=notify)
    return Model([Member(Network(path))])


def load_config(config: TrainConfig, file_name: str = "", *, notify: Notify | None = None) -> Model:
    """Load the model of a training config: its weights, or the public model that it names.

    Args:
        config: The config.
        file_name: Name of its file, which names the public model if the config does not: configs of other
            NIMA toolkits have only names such as config_technical_gpu.json.
        notify: As for `load_model`.

    Raises:
        ConfigError: The config names no weights to make a model from, or two that differ.
    """
    weights, models = config.existing_weights, public_models()
    if weights and weights not in PUBLIC:
        return load_weights(weights, config.base_model_name, config=config, notify=notify)
    words = re.split(r"[^a-z]+", file_name.lower())
    named = {name for name in (weights, config.public_model) if name} or {*models} & {*words}
    if len(named) == 1:
        [name] = named
        if name in models and models[name].base_model == config.base_model_name:
            return load_model(name, notify=notify)
    public = ", ".join(f"{name}: {public.base_model}" for name, public in models.items())
    raise ConfigError(
        "Scoring with a config needs weights that it names: a file in existing_weights, or else a public"
        f" model of its base model in public_model ({public}), and no other in existing_weights. Received:"
        f" {config.base_model_name}, existing_weights {weights or 'null'}, public_model"
        f" {config.public_model or 'null'}; set public_model, or give --weights-file or --model"
    )


def starting_model(config: TrainConfig, *, notify: Notify | None = None) -> str | Path | None:
    """The model whose weights a training job starts from, as for `load_model`.

    Args:
        config: The job's config.
        notify: As for `load_model`.

    Returns:
        None if the weights are no model's: those of ImageNet, random ones, or weights of another head.
    """
    weights = config.existing_weights
    if not weights or weights == RANDOM_WEIGHTS or weights in PUBLIC:
        return weights if weights in public_models() else None
    job = Job(Path(weights).absolute().parent.parent)
    if Path(weights).parent.name == "weights" and job.model_file.is_file():
        return job.model_file
    try:
        return convert(Path(weights), config.base_model_name, config=config, notify=notify)
    except (WeightsError, MissingExtraError):
        return None


def _model_file(name: str | os.PathLike[str], folder: Path, notify: Notify | None) -> Path:
    if own := _own_file(name, folder):
        return own[0]
    path = Path(name)
    if path.name.lower().endswith((".hdf5", ".h5", ".keras")):
        raise UsageError(
            f"Keras weights need their base model. Received: {path}; create a model file from them:"
            f" nimakit export --weights-file {path} --base-model-name NAME --output FILE.onnx"
            " (nimakit.models.loading.load_weights loads them in Python)."
        )
    return fetch(str(name), notify=notify)
