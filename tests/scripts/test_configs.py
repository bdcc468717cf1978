"""What a launcher takes from ensembles and configs, and that it runs none of it."""

from pathlib import Path

import pytest

from launchers import Launcher, without, write_json


def test_a_public_model_is_no_file(predict: Launcher) -> None:
    """The name of a public model is not mounted, not even where a folder has that name."""
    (predict.folder / "aesthetic").mkdir()
    assert predict("--model", "aesthetic").container.mounts == {}


def test_the_members_of_an_ensemble_are_mounted(predict: Launcher, tmp_path: Path) -> None:
    """An ensemble's files are mounted, relative ones from the ensemble's folder; public models are not."""
    models = predict.folder / "my models"
    models.mkdir()
    far = tmp_path / "far.onnx"
    for path in (models / "near one.onnx", models / "aesthetic", far):
        path.touch()
    members = ["near one.onnx", "../my models/near one.onnx", str(far), "aesthetic", "missing.onnx"]
    ensemble = write_json(models / "ours.json", {"members": [{"model": member} for member in members]})
    mounts = predict("--model", "my models/ours.json", "--image-source", "photos").container.mounts
    expected = {ensemble, models / "near one.onnx", far, predict.folder / "photos", models}
    assert mounts == {str(path): (str(path), "ro") for path in expected}


def test_what_a_model_was_trained_on_is_mounted_with_it(predict: Launcher) -> None:
    """The split.json next to it, by which figures say what they are of."""
    for name in ("m.onnx", "split.json"):
        (predict.folder / name).touch()
    mounts = predict("--model", "m.onnx").container.mounts
    assert set(mounts) == {str(predict.folder / name) for name in ("m.onnx", "split.json")}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"members": 3}', '{"members": [{"model": 1}, 2]}'])
def test_a_broken_ensemble_is_left_to_the_command(predict: Launcher, text: str) -> None:
    """The launcher mounts a broken ensemble file and says nothing; the command says what is wrong."""
    (predict.folder / "ours.json").write_text(text)
    result = predict("--model=ours.json")
    assert list(result.container.mounts) == [str(predict.folder / "ours.json")]
    assert result.stderr.splitlines()[0] == "predict: runtime docker (image nima-cpu)"


def test_a_config_chooses_the_image_and_mounts_its_weights(predict: Launcher) -> None:
    """docker_image is run, and existing_weights is mounted from the working directory."""
    (predict.folder / "my weights.hdf5").touch()
    write_json(
        predict.folder / "c.json", {"docker_image": "team/nima:2", "existing_weights": "my weights.hdf5"}
    )
    container = predict("--config-file", "c.json").container
    assert container.image == "team/nima:2"
    weights = str(predict.folder / "my weights.hdf5")
    assert container.mounts[weights] == (weights, "ro")


def test_docker_image_wins_over_the_config(predict: Launcher) -> None:
    """--docker-image is what runs, whatever the config says."""
    write_json(predict.folder / "c.json", {"docker_image": "nima-gpu"})
    container = predict("--docker-image=nima-cpu", "--config-file=c.json").container
    assert container.image == "nima-cpu"
    assert "--gpus" not in container.options


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"docker_image": null}', '{"docker_image": 3}'])
def test_a_config_without_an_image_means_our_own(predict: Launcher, text: str) -> None:
    """A config that names no image, broken or not, runs nima-cpu, which says what is wrong with it."""
    (predict.folder / "c.json").write_text(text)
    result = predict("--config-file", "c.json")
    assert result.container.image == "nima-cpu"
    assert "jq" not in result.stderr


SHELL_CODE = ["$(touch pwned)", "`touch pwned`", "x; touch pwned", "x\ntouch pwned", "$IFS", "--privileged"]


@pytest.mark.parametrize("value", [*SHELL_CODE, "nima-cpu nima-gpu", "-v=/:/host"])
def test_an_image_name_that_is_none_is_refused(predict: Launcher, value: str) -> None:
    """Shell code, options and several words for an image are refused by the launcher, and never run."""
    write_json(predict.folder / "c.json", {"docker_image": value})
    for arguments in (["--config-file", "c.json"], ["--docker-image", value]):
        result = predict(*arguments)
        assert result.code == 1
        assert f"A Docker image has a name such as nima-cpu. Received: {value}\n" in result.stderr
        assert (result.asked("run"), result.asked("build")) == ([], [])
    assert not (predict.folder / "pwned").exists()


@pytest.mark.parametrize("value", SHELL_CODE)
def test_a_config_value_is_never_run(predict: Launcher, value: str) -> None:
    """Shell code among the paths of a config or an ensemble is the name of a file, and nothing else."""
    path = predict.folder / value
    path.touch()
    path.with_name(f"{value}.onnx").touch()
    config = write_json(predict.folder / "c.json", {"existing_weights": value})
    ensemble = write_json(predict.folder / "e.json", {"members": [{"model": f"{value}.onnx"}]})
    mounts = predict("--config-file", "c.json", "--model", "e.json").container.mounts
    assert set(mounts) == {str(p) for p in (path, config, ensemble, path.with_name(f"{value}.onnx"))}
    assert not (predict.folder / "pwned").exists()


def test_jq_is_asked_for_where_it_is_missing(predict: Launcher, tmp_path: Path) -> None:
    """Without jq a config is not silently ignored; without a config jq is not needed."""
    write_json(predict.folder / "c.json", {"docker_image": "nima-gpu"})
    env = {"PATH": without(tmp_path, "jq")}
    for option in ("--config-file", "--model"):
        result = predict(option, "c.json", env=env)
        assert result.code == 1
        assert "Reading c.json needs jq, and none was found. Install it" in result.stderr
    assert predict("--image-source", "photos", env=env).container.image == "nima-cpu"
