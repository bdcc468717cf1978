"""Shared by the tests of networks: small jobs and adaptable models, each made once."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # it loads TensorFlow
    from nimakit.nn.networks.keras_model import KerasModel

SmallJob = Callable[..., Path]
Adaptable = Callable[..., Path]


@pytest.fixture(scope="module")
def small_adapters() -> Iterator[None]:
    """The small backbone is registered, and may have adapters despite its size."""
    import small_backbone  # loads TensorFlow
    from nimakit.nn.networks import adapters

    with pytest.MonkeyPatch.context() as patched, small_backbone.registered():
        patched.setattr(adapters, "MAX_SHARE", 1.0)
        yield


@pytest.fixture(scope="session")
def aesthetic(public_weights: Path) -> "KerasModel":
    """The public model with its Keras weights, which take seconds to load; not to be changed."""
    from nimakit.nn.networks import keras_model

    return keras_model.load("aesthetic")


@pytest.fixture(scope="session")
def small_job(tmp_path_factory: pytest.TempPathFactory) -> SmallJob:
    """Returns the folder of a job with the small backbone, by its config; not to be written to.

    The session exports each model once: an export takes seconds.
    """
    import small_backbone
    from small_models import write_job

    made: dict[str, Path] = {}

    def get(**changes: Any) -> Path:
        key = json.dumps(changes, sort_keys=True)
        if key not in made:
            with small_backbone.registered():
                made[key] = write_job(tmp_path_factory.mktemp("jobs") / "job", **changes)
        return made[key]

    return get


@pytest.fixture(scope="session")
def adaptable(tmp_path_factory: pytest.TempPathFactory, small_job: SmallJob) -> Adaptable:
    """Returns the adaptable model file of a small job, by its head and its kind of adapters."""
    from nimakit.nn.networks import keras_model
    from nimakit.nn.personal import fine_tuning

    made: dict[str, Path] = {}

    def get(head: str, **kind: Any) -> Path:
        key = json.dumps([head, kind], sort_keys=True)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("adaptable") / fine_tuning.adaptable_name(**kind)
            fine_tuning.write_adaptable(keras_model.load(small_job(head=head)), made[key], **kind)
        return made[key]

    return get
