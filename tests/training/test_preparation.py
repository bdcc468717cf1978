"""nimakit.training.preparation: a training job is checked whole, then its folder is made."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nimakit.config import TrainConfig
from nimakit.errors import UsageError
from nimakit.stats.histogram import default_bins
from nimakit.training.preparation import Request, prepare
from samples import write_photo
from small_jobs import CONFIG, SMALL, label_of, write_config

if TYPE_CHECKING:
    import keras

pytestmark = [
    pytest.mark.slow,
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

Entries = list[dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    """Let configs name the small backbone, which is built in no time."""
    import small_backbone

    with small_backbone.registered():
        yield


OWN = {"base_model_name": SMALL}
PUBLIC = {"base_model_name": CONFIG["base_model_name"]}
"""A config of the backbone that has public weights."""


def _entries(*names: str) -> Entries:
    return [{"image_id": name, "label": label_of(0.5)} for name in names]


def _labels(path: Path, entries: Entries) -> Path:
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Request]:
    """Makes requests for a job with photographs a, b and c, and t as a test set; all can be changed."""
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name in "abct":
        write_photo(photographs / f"{name}.jpg")

    def make(config: dict[str, Any] | None = None, entries: Entries | None = None, **fields: Any) -> Request:
        request = Request(
            config_file=write_config(tmp_path / "config.json", **{**OWN, **(config or {})}),
            samples_file=_labels(tmp_path / "labels.json", entries or _entries("a", "b", "c")),
            image_dir=photographs,
            recursive=False,
            test_samples_file=None,
            jobs_dir=tmp_path / "train_jobs",
            allow_missing=False,
            docker_image=None,
        )
        return dataclasses.replace(request, **fields)

    return make


def _refusal(request: Request) -> str:
    """The error for a refused job; checks that nothing was created."""
    with pytest.raises(UsageError) as caught:
        prepare(request)
    assert not request.jobs_dir.exists()
    return str(caught.value)


def test_keeps_what_was_given(ask: Callable[..., Request], tmp_path: Path) -> None:
    """The job folder has the files byte by byte, and run.json where the images are."""
    test = _labels(tmp_path / "test.json", _entries("t"))
    request = ask(test_samples_file=test, docker_image="nima-cpu")
    job = prepare(request)
    for kept, given in (
        (job.config_file, request.config_file),
        (job.samples_file, request.samples_file),
        (job.test_samples_file, test),
    ):
        assert kept.read_bytes() == given.read_bytes()
    run = job.run()
    assert (run["status"], run["docker_image"], run["missing"]) == ("prepared", "nima-cpu", [])
    assert (run["image_dir"], run["allow_missing"]) == (str(request.image_dir), False)


def test_reports_all_problems_at_once(ask: Callable[..., Request], tmp_path: Path) -> None:
    """Config, labels, images and weights are each checked, even if others have problems."""
    request = ask(
        {"base_model_name": "MobilNet", "existing_weights": "none.hdf5", "n_classes": 7},
        _entries("a", "gone", "lost"),
        test_samples_file=tmp_path / "no_test.json",
        jobs_dir=tmp_path / "config.json" / "jobs",
    )
    message = _refusal(request)
    first, *problems = message.split("\n  - ")
    assert first == "The job has 6 problems, and was not started:"
    parts = (
        f"n_classes must be the number of bins of the labels. Received: 7 in {request.config_file}, 5 bins",
        "2 of 3 images",
        "no_test.json",
        "nearest: MobileNet",
        "Received: none.hdf5, which does not exist",
        f"must be writable or possible to create. Received: {request.jobs_dir}",
    )
    for part, problem in zip(parts, problems, strict=True):
        assert part in problem


def test_bad_keys_and_labels_hide_nothing_else(ask: Callable[..., Request]) -> None:
    """The readable parts of a bad config and a bad label file are still checked against the rest."""
    bad = {"batch_sise": 4, "base_model_name": "MobilNet", "existing_weights": "none.hdf5", "n_classes": 7}
    entries = [*_entries("a", "gone", "b"), {"image_id": "lost", "label": [0] * 5}, {"image_id": 3}]
    message = _refusal(ask(bad, entries))
    parts = (
        "'batch_sise' is unknown (nearest known: 'batch_size')",
        "has 2 bad entries: entry 4: the label of 'lost' is all zero: nobody rated it; entry 5",
        "7 in ",
        "2 of 4 images",
        "nearest: MobileNet",
        "Received: none.hdf5, which does not exist",
    )
    for part, problem in zip(parts, message.split("\n  - ")[1:], strict=True):
        assert part in problem
    assert message.count("gone, lost") == 1


def test_a_bad_label_file_does_not_hide_a_missing_folder(ask: Callable[..., Request], tmp_path: Path) -> None:
    """Both numbers are reported; a config without n_classes means the default."""
    config = tmp_path / "short.json"
    config.write_text('{"base_model_name": "MobileNet"}', encoding="utf-8")
    entries = [*_entries("a"), {"image_id": "b", "label": [1, 2]}]
    message = _refusal(ask(entries=entries, config_file=config, image_dir=tmp_path / "nowhere"))
    assert "The job has 3 problems" in message
    assert "must be a folder that exists" in message
    assert "the label of 'b' has 2 bins, most have 5" in message
    assert "Received: 10 in " in message


@pytest.mark.parametrize("content", ["[1, 2]", "nonsense", '[{"image_id": "a"}'])
def test_reports_a_file_that_is_no_config_or_label_file_once(
    ask: Callable[..., Request], tmp_path: Path, content: str
) -> None:
    """The problem of the folder is reported too."""
    (tmp_path / "odd.json").write_text(content, encoding="utf-8")
    nowhere = tmp_path / "nowhere"
    for field in ("config_file", "samples_file"):
        message = _refusal(ask(image_dir=nowhere, **{field: tmp_path / "odd.json"}))
        assert "The job has 2 problems" in message
        assert message.count("odd.json") <= 2
        assert "must be a folder that exists" in message


def test_lists_every_missing_image(ask: Callable[..., Request]) -> None:
    """All names are listed, because people search for them."""
    gone = [f"gone{index}" for index in range(100)]
    message = _refusal(ask(entries=_entries("a", *gone)))
    assert "100 of 101 images" in message
    assert "leave them out with --allow-missing" in message
    assert message.endswith(", ".join(gone))


def test_leaves_missing_images_out_where_allowed(ask: Callable[..., Request], tmp_path: Path) -> None:
    """run.json has their names, including those of the test set."""
    test = _labels(tmp_path / "test.json", _entries("t", "lost"))
    request = ask(entries=_entries("a", "gone"), test_samples_file=test, allow_missing=True)
    run = prepare(request).run()
    assert (run["allow_missing"], run["missing"]) == (True, ["gone", "lost"])


@pytest.mark.parametrize("allow_missing", [False, True])
def test_refuses_a_folder_with_none_of_the_images(ask: Callable[..., Request], allow_missing: bool) -> None:
    """It is the wrong folder, even if images may be left out."""
    message = _refusal(ask(entries=_entries("x", "y"), allow_missing=allow_missing))
    assert "must contain images that" in message
    assert "Received: none of them" in message


def test_refuses_a_missing_image_folder_once(ask: Callable[..., Request], tmp_path: Path) -> None:
    """Two label files report the same folder only once."""
    test = _labels(tmp_path / "test.json", _entries("t"))
    message = _refusal(ask(image_dir=tmp_path / "nowhere", test_samples_file=test))
    assert message == f"The image directory must be a folder that exists. Received: {tmp_path / 'nowhere'}"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (
            [*_entries("a", "b"), {"image_id": "c", "label": [1, 2]}],
            "the label of 'c' has 2 bins, most have 5",
        ),
        ([*_entries("a"), {"image_id": "b", "label": [0] * 5}], "the label of 'b' is all zero"),
        ([{"image_id": "a"}, {"image_id": "b"}], "Training needs labels"),
        ([*_entries("a"), {"image_id": "b"}], "the label of 'b' must be a list"),
        (_entries("a", "a"), "'a' is repeated"),
    ],
    ids=["unequal", "all zero", "none", "some", "twice"],
)
@pytest.mark.parametrize("which", ["samples_file", "test_samples_file"])
def test_refuses_bad_labels(
    ask: Callable[..., Request], tmp_path: Path, entries: Entries, expected: str, which: str
) -> None:
    """Training and test labels are checked alike; the message names the file."""
    bad = _labels(tmp_path / "bad.json", entries)
    message = _refusal(ask(**{which: bad}))
    assert expected in message
    assert str(bad) in message


def test_refuses_test_labels_with_another_number_of_bins(ask: Callable[..., Request], tmp_path: Path) -> None:
    """A test set must have the scale of the training set."""
    test = _labels(tmp_path / "test.json", [{"image_id": "t", "label": [1, 2, 3]}])
    assert "Received: 5 in " in (message := _refusal(ask(test_samples_file=test)))
    assert f"3 bins in {test}" in message


def test_refuses_to_test_with_training_images(ask: Callable[..., Request], tmp_path: Path) -> None:
    """Images that are in both label files are named."""
    test = _labels(tmp_path / "test.json", _entries("t", "b", "a"))
    message = _refusal(ask(test_samples_file=test))
    assert message.endswith("Received: 2 image_ids in both files: a, b")


def test_refuses_an_unknown_key_with_the_nearest(ask: Callable[..., Request]) -> None:
    """The problem of the config is reported among the others."""
    message = _refusal(ask({"batch_sise": 4}, _entries("a", "gone")))
    assert "'batch_sise' is unknown (nearest known: 'batch_size')" in message
    assert "gone" in message


@pytest.mark.parametrize("field", ["config_file", "samples_file", "test_samples_file"])
def test_refuses_a_missing_file(ask: Callable[..., Request], tmp_path: Path, field: str) -> None:
    """The error names the file."""
    assert f"Received: {tmp_path / 'none.json'}" in _refusal(ask(**{field: tmp_path / "none.json"}))


@pytest.mark.parametrize("field", ["config_file", "samples_file", "test_samples_file"])
def test_refuses_a_file_that_can_be_read_only_once(ask: Callable[..., Request], field: str) -> None:
    """A pipe is refused, because the job would later read an empty file."""
    request = ask()
    reader, writer = os.pipe()
    os.write(writer, (request.config_file if field == "config_file" else request.samples_file).read_bytes())
    os.close(writer)
    message = _refusal(ask(**{field: Path(f"/dev/fd/{reader}")}))
    assert f"must be regular files. Received: /dev/fd/{reader};" in message
    os.close(reader)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pooled_levels": 8}, "pooled_levels must be at most the number of resolutions of the backbone"),
        (
            {"base_model_name": "InceptionV3", "input_size": [32, 32]},
            "InceptionV3 cannot be built at every input size. Received: 32x32",
        ),
    ],
    ids=["levels", "size"],
)
def test_refuses_a_network_that_cannot_be_built(
    ask: Callable[..., Request], config: dict[str, Any], expected: str
) -> None:
    """The problem is reported among the others, including those of the config."""
    message = _refusal(ask({**config, "n_classes": 7, "batch_sise": 4}))
    assert expected in message
    assert "n_classes must be" in message


@pytest.mark.parametrize("weights", ["random", "aesthetic", None])
def test_takes_weights_by_name(ask: Callable[..., Request], weights: str | None) -> None:
    """Names of weights are not files; they are fetched when the job runs."""
    config = {**PUBLIC, "existing_weights": weights, "input_size": [224, 224]}
    assert prepare(ask(config)).run()["status"] == "prepared"


@pytest.fixture
def small() -> "keras.Model":
    """The small backbone with a head of ten outputs."""
    from nimakit.nn.networks import backbones, heads

    config = TrainConfig(base_model_name=SMALL)
    return heads.add_head(backbones.get(SMALL).build(), default_bins(10), config)


def test_takes_a_file_of_weights(ask: Callable[..., Request], tmp_path: Path, small: "keras.Model") -> None:
    """Weights of the base model are taken, whatever their head."""
    small.save_weights(tmp_path / "w.weights.h5")
    assert prepare(ask({"existing_weights": str(tmp_path / "w.weights.h5")}))


def test_refuses_weights_that_training_cannot_start_from(
    ask: Callable[..., Request], tmp_path: Path, small: "keras.Model"
) -> None:
    """Weights of another network and files without weights are refused before a job is created."""
    import keras

    path = tmp_path / "w.weights.h5"
    keras.Model(small.input, small.layers[2].output).save_weights(path)
    message = _refusal(ask({"existing_weights": str(path), "n_classes": 3}))
    assert "n_classes must be" in message
    assert f"must be of the base model. Received: {path}, which lacks" in message
    path.write_bytes(b"no weights")
    assert f"an HDF5 file. Received: {path}" in _refusal(ask({"existing_weights": str(path)}))


def test_refuses_public_weights_of_another_base_model(ask: Callable[..., Request]) -> None:
    """The error names both base models, among the other problems."""
    message = _refusal(ask({**PUBLIC, "existing_weights": "efficientnet-lite0", "n_classes": 3}))
    assert "n_classes must be" in message
    assert "Received: efficientnet-lite0, which is of EfficientNetLite0, for MobileNet" in message


@pytest.mark.parametrize("name", ["w.pkl", "w.pb", "w.onnx"])
def test_refuses_files_that_are_no_weights(ask: Callable[..., Request], tmp_path: Path, name: str) -> None:
    """The suffix is checked before a job is created."""
    (tmp_path / name).touch()
    message = _refusal(ask({"existing_weights": str(tmp_path / name)}))
    assert message.startswith("A file of existing_weights must end in .hdf5, .h5, .weights.h5, .keras")
    assert message.endswith(f"Received: {tmp_path / name}")
