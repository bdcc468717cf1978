"""What a launcher takes from ensembles and configs, and that it runs none of it."""

from pathlib import Path

from launchers import Launcher, run_functions, without, write_json
from nimakit.models import torch_files, weight_files


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
    """The split.json next to it lists the training images, so that an evaluation on them can warn."""
    for name in ("m.onnx", "split.json"):
        (predict.folder / name).touch()
    mounts = predict("--model", "m.onnx").container.mounts
    assert set(mounts) == {str(predict.folder / name) for name in ("m.onnx", "split.json")}


def test_an_ensemble_shows_a_container_nothing_but_models(predict: Launcher, tmp_path: Path) -> None:
    """Other files, folders and links to them are not mounted, even with the name of a model."""
    secret = tmp_path / "secret.txt"
    secret.touch()
    (tmp_path / "link.onnx").symlink_to(secret)
    (tmp_path / "folder.onnx").mkdir()
    names = ("secret.txt", "link.onnx", "folder.onnx", "")
    members = [{"model": f"{tmp_path}/{name}"} for name in names]
    ensemble = write_json(predict.folder / "e.json", {"members": members})
    assert list(predict("--model", ensemble).container.mounts) == [str(ensemble)]


def test_a_broken_ensemble_is_left_to_the_command(predict: Launcher) -> None:
    """The launcher mounts a broken ensemble file; the command reports what is wrong."""
    names: list[str] = []
    for text in ("", "[]", "{", '{"members": 3}', '{"members": [{"model": 1}, 2]}'):
        names.append(f"{len(names)}.json")
        (predict.folder / names[-1]).write_text(text)
    result = predict(*(f"--model={name}" for name in names))
    assert set(result.container.mounts) == {str(predict.folder / name) for name in names}
    assert result.stderr.splitlines()[0] == "predict: runtime docker (image nima-light)"


def test_a_config_chooses_the_image_and_mounts_its_weights(predict: Launcher) -> None:
    """docker_image is run, and existing_weights is mounted from the working directory."""
    (predict.folder / "my weights.hdf5").touch()
    write_json(
        predict.folder / "c.json", {"docker_image": "team/nima:2", "existing_weights": "my weights.hdf5"}
    )
    container = predict("--config-file", "c.json", "--trust-image", "team/nima:2").container
    assert container.image == "team/nima:2"
    weights = str(predict.folder / "my weights.hdf5")
    assert container.mounts[weights] == (weights, "ro")


def test_an_image_that_is_not_ours_is_asked_for_by_name(predict: Launcher) -> None:
    """A config's image that is not ours is refused unless --trust-image names it."""
    write_json(predict.folder / "c.json", {"docker_image": "team/nima:2"})
    for trusted in ((), ("--trust-image", "another")):
        result = predict("--config-file", "c.json", *trusted)
        assert (result.code, result.asked("run")) == (1, [])
        assert "Received: team/nima:2, in c.json. Add --trust-image team/nima:2, or choose" in result.stderr
    assert predict("--config-file", "c.json", "--docker-image", "nima-gpu").container.image == "nima-gpu"


def test_only_tags_of_our_images_are_ours() -> None:
    """An older build of ours that was kept under a tag needs no trust."""
    ours = ["nima-cpu", "nima-gpu", "nima-cpu:1.0"]
    others = ["team/nima:2", "nima-cpu:5000/evil", "team/nima-cpu", "nima-cpu:a/b", "python:3.11", "nima"]
    script = 'for name; do if is_ours "$name"; then printf "%s\\0" "$name"; fi; done'
    assert run_functions(script, *ours, *others) == ours


def weights_mounted(folder: Path, *named: str) -> list[str]:
    """What is mounted for configs that start from each of these."""
    configs = [write_json(folder / f"c{i}.json", {"existing_weights": name}) for i, name in enumerate(named)]
    script = 'for name; do mount_weights "$name"; done; printf "%s\\0" "${!MOUNTS[@]}"'
    return sorted(run_functions(script, *configs, folder=folder))


def test_only_weight_files_are_mounted_for_a_config(predict: Launcher, tmp_path: Path) -> None:
    """If existing_weights is a folder, another kind of file, or a link to one, it is not mounted."""
    secret = tmp_path / ".ssh" / "id_rsa"
    secret.parent.mkdir()
    secret.touch()
    (predict.folder / "link.h5").symlink_to(secret)
    (predict.folder / "folder.h5").symlink_to(secret.parent)
    (predict.folder / "w.h5").touch()
    found = weights_mounted(predict.folder, str(secret), str(secret.parent), "link.h5", "folder.h5", "w.h5")
    assert found == [str(predict.folder / "w.h5")]


def test_every_kind_of_weight_file_is_mounted(predict: Launcher) -> None:
    """What training takes as existing_weights is there in the container."""
    names = [f"w{suffix}" for suffix in (*weight_files.SUFFIXES, *torch_files.SUFFIXES)]
    for name in names:
        (predict.folder / name).touch()
    assert weights_mounted(predict.folder, *names) == sorted(str(predict.folder / name) for name in names)


def test_what_would_steer_a_terminal_is_not_printed(predict: Launcher) -> None:
    """Control characters of a config's values do not reach the terminal; lines stay lines."""
    write_json(predict.folder / "c.json", {"docker_image": "a\x1b]0;b\x07\nc"})
    result = predict("--config-file", "c.json")
    assert "Received: a?]0;b?\nc\n" in result.stderr
    assert result.code == 1


def test_docker_image_wins_over_the_config(predict: Launcher) -> None:
    """--docker-image wins over the config."""
    write_json(predict.folder / "c.json", {"docker_image": "nima-gpu"})
    container = predict("--docker-image=nima-cpu", "--config-file=c.json").container
    assert container.image == "nima-cpu"
    assert "--gpus" not in container.options


def test_a_config_without_an_image_means_our_own(predict: Launcher) -> None:
    """A config without an image, even a broken one, runs nima-cpu, which reports what is wrong."""
    for text in ("{", '{"docker_image": 3}'):
        (predict.folder / "c.json").write_text(text)
        result = predict("--config-file", "c.json")
        assert result.container.image == "nima-cpu"
        assert "jq" not in result.stderr


SHELL_CODE = ["$(touch pwned)", "`touch pwned`", "x; touch pwned", "x\ntouch pwned", "$IFS", "--privileged"]


def test_an_image_name_that_is_none_is_refused(predict: Launcher) -> None:
    """Shell code, options and several words for an image are refused by the launcher, and never run."""
    value = "$(touch pwned)"
    write_json(predict.folder / "c.json", {"docker_image": value})
    for arguments in (["--config-file", "c.json"], ["--docker-image", value]):
        result = predict(*arguments)
        assert result.code == 1
        assert f"A Docker image has a name such as nima-cpu. Received: {value}\n" in result.stderr
        assert (result.asked("run"), result.asked("build")) == ([], [])
    script = 'for image; do if (check_image_name) 2>/dev/null; then printf "%s\\0" "$image"; fi; done'
    names = [*SHELL_CODE, "nima-cpu nima-gpu", "-v=/:/host", "", "team/nima:2"]
    assert run_functions(script, *names, folder=predict.folder) == ["team/nima:2"]
    assert not (predict.folder / "pwned").exists()


def test_a_config_value_is_never_run(predict: Launcher) -> None:
    """Shell code among the paths of a config or an ensemble is the name of a file, and nothing else."""
    weights, models = ([f"{value}{suffix}" for value in SHELL_CODE] for suffix in (".h5", ".onnx"))
    for name in (*weights, *models):
        (predict.folder / name).touch()
    assert weights_mounted(predict.folder, *weights) == sorted(str(predict.folder / n) for n in weights)
    ensemble = write_json(predict.folder / "e.json", {"members": [{"model": name} for name in models]})
    mounts = predict("--model", "e.json").container.mounts
    assert set(mounts) == {str(ensemble), *(str(predict.folder / name) for name in models)}
    assert not (predict.folder / "pwned").exists()


def test_jq_is_asked_for_where_it_is_missing(predict: Launcher, tmp_path: Path) -> None:
    """Without jq a config is not silently ignored; without a config jq is not needed."""
    write_json(predict.folder / "c.json", {"docker_image": "nima-gpu"})
    env = {"PATH": without(tmp_path, "jq")}
    for option in ("--config-file", "--model"):
        result = predict(option, "c.json", env=env)
        assert result.code == 1
        assert "Reading c.json needs jq, and none was found. Install it" in result.stderr
    assert predict("--image-source", "photos", env=env).container.image == "nima-light"


def test_job_folders_of_an_ensemble_are_mounted(predict: Launcher) -> None:
    """Of a job, its model and the list of images it was trained on; of any other folder, nothing."""
    job = predict.folder / "train_jobs" / "7"
    job.mkdir(parents=True)
    for name in ("model.onnx", "split.json", "config.json"):
        (job / name).touch()
    members = [{"model": "train_jobs/7"}, {"model": "photos"}]
    ensemble = write_json(predict.folder / "e.json", {"members": members})
    expected = {str(ensemble), str(job / "model.onnx"), str(job / "split.json")}
    assert set(predict("--model", "e.json").container.mounts) == expected
    assert set(predict("--model", "train_jobs/7").container.mounts) == expected - {str(ensemble)}


# --- public models that no image contains --------------------------------------------------------------


def test_the_technical_model_is_downloaded_first(predict: Launcher) -> None:
    """A container with a network and only the cache fetches it; the one with the photos has none."""
    arguments = ("--model", "technical", "--image-source", "photos")
    result = predict(*arguments, env={"NIMAKIT_WEIGHTS_MIRROR": "http://mirror.example/weights"})
    fetches, scores = result.containers
    assert (fetches.image, fetches.arguments, fetches.mounts) == ("nima-light", ["fetch", "technical"], {})
    assert "--network" not in fetches.options
    assert "NIMAKIT_WEIGHTS_MIRROR" in fetches.options["--env"]
    assert scores.options["--network"] == ["none"]
    assert "NIMAKIT_WEIGHTS_MIRROR" not in scores.options["--env"]
    assert result.stdout == "[]\n"
    assert len(predict(*arguments).containers) == 1


def test_nothing_is_scored_without_the_model_that_is_named(predict: Launcher) -> None:
    """If the download fails, the launcher ends with its exit code."""
    (predict.bin / "has-no-network").touch()
    result = predict("--model", "technical", "--image-source", "photos")
    assert (result.code, len(result.containers), result.stdout) == (1, 1, "")


def test_what_names_the_technical_model_has_it_downloaded(predict: Launcher) -> None:
    """A config, an ensemble or an option; but a file is a file, whatever its name in the records."""
    write_json(predict.folder / "c.json", {"public_model": "technical"})
    write_json(predict.folder / "config_technical_cpu.json", {"public_model": None})
    write_json(
        predict.folder / "my_technical.json", {"existing_weights": "w.h5", "public_model": "technical"}
    )
    write_json(predict.folder / "technically.json", {})
    write_json(predict.folder / "e.json", {"members": [{"model": "technical"}]})
    (predict.folder / "m.onnx").touch()
    (predict.bin / "has-no-network").touch()
    both = ("--side-by-side", "--model", "aesthetic", "--model")
    configs = [("--config-file", name) for name in ("c.json", "config_technical_cpu.json")]
    for named in (*configs, ("--model", "e.json"), (*both, "quality=technical")):
        assert predict(*named).container.arguments == ["fetch", "technical"]
    for name in ("my_technical.json", "technically.json"):
        assert predict("--config-file", name).container.arguments == ["--config-file", name]
    container = predict(*both, "technical=m.onnx").container
    assert set(container.mounts) == {str(predict.folder / "m.onnx")}
