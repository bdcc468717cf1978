"""./train-local: how training is started, followed, stopped and resumed."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launchers import NEW, TRAINING, Launcher, read_calls


def hints(job: Path, program: str, follow: str, stop: str) -> list[str]:
    """The lines that say how to go on from here."""
    return [
        f"train-local: follow: {follow}",
        f"train-local: stop: {stop}",
        f"train-local: go on after a stop: {program} --resume {job}",
    ]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that comes about within seconds."""
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@contextmanager
def running(
    launcher: Launcher, *arguments: str, runtime: str
) -> Iterator["tuple[subprocess.Popen[str], Callable[[], str]]"]:
    """A launcher that follows a training which goes on and on, in a process group as a terminal gives it."""
    with subprocess.Popen(
        [launcher.repository / launcher.program, *arguments],
        cwd=launcher.folder,
        env=launcher.surroundings(runtime),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        assert process.stderr is not None
        seen: list[str] = []
        stderr = process.stderr

        def read_on() -> str:
            seen.append(stderr.readline())
            return "".join(seen)

        try:
            yield process, read_on
        finally:
            process.kill()


# --- following -----------------------------------------------------------------------------------------


def test_training_is_followed_to_its_end(train: Launcher, job: Path) -> None:
    """Stdout is only the job folder, stderr the container's output; a finished container is removed."""
    result = train(*NEW)
    assert (result.code, result.stdout) == (0, f"{job}\n")
    assert result.stderr.splitlines()[-3:] == [
        "train-local: following the log; Ctrl-C stops following, not the training",
        *sorted(["on stdout", "on stderr"], key=result.stderr.index),
    ]
    assert result.asked("logs") == [["logs", "--follow", TRAINING]]
    assert result.calls[-1] == ["container", "rm", TRAINING]


def test_the_exit_code_of_training_comes_through(train: Launcher, job: Path) -> None:
    """A training that failed ends the launcher with its code; its container stays, and the lines say so."""
    (train.bin / "exit-code").write_text("137\n")
    result = train(*NEW)
    assert (result.code, result.stdout) == (137, f"{job}\n")
    assert result.calls[-1] == ["wait", TRAINING]
    assert result.stderr.splitlines()[-2:] == [
        f"train-local: training ended with exit code 137. Its output stays in: docker logs {TRAINING}",
        f"train-local: go on: {train.repository}/train-local --resume {job}",
    ]


def test_a_detached_training_is_left_alone(train: Launcher, job: Path) -> None:
    """--detach says how to follow, stop and go on, and returns."""
    result = train(*NEW, "--detach")
    assert (result.code, result.stdout) == (0, f"{job}\n")
    assert (result.asked("logs"), result.asked("wait")) == ([], [])
    assert result.stderr.splitlines()[-3:] == hints(
        job,
        f"{train.repository}/train-local",
        f"docker logs --follow {TRAINING}",
        f"docker container stop {TRAINING}",
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_following_alone(train: Launcher, job: Path, number: signal.Signals) -> None:
    """An interrupt leaves the container running, and says how to follow it again, stop it and go on."""
    (train.bin / "keeps-running").touch()
    with running(train, *NEW, runtime="docker") as (process, read_on):
        wait_until(lambda: "on stderr" in read_on())
        os.killpg(process.pid, number)
        stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout) == (128 + number, f"{job}\n")
    assert stderr.splitlines()[-4:] == [
        "train-local: training goes on",
        *hints(
            job,
            f"{train.repository}/train-local",
            f"docker logs --follow {TRAINING}",
            f"docker container stop {TRAINING}",
        ),
    ]
    calls = read_calls(train.bin / "calls")
    assert [call for call in calls if "stop" in call or "kill" in call] == []


def test_a_container_that_does_not_start_is_cleared_away(train: Launcher, job: Path) -> None:
    """Where docker cannot start it, the container is removed, and the job can be resumed."""
    (train.bin / "cannot-start").touch()
    result = train(*NEW)
    assert result.code == 1
    assert result.calls[-1] == ["container", "rm", TRAINING]
    assert result.stderr.endswith(f"/train-local --resume {job}\n")


def test_a_job_with_an_awkward_path_can_be_copied_from_the_hints(train: Launcher, job: Path) -> None:
    """The line to go on with is quoted for a shell."""
    awkward = train.folder / "it's $HOME, my job"
    job.rename(awkward)
    (train.bin / "prepared").write_text(f"{awkward}\n")
    line = train("--resume", awkward, "--detach").stderr.splitlines()[-1]
    assert shlex.split(line.partition("stop: ")[2])[1:] == ["--resume", str(awkward)]


# --- resuming ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["train_jobs/2026_01_02_03_04_05", "./train_jobs//2026_01_02_03_04_05/"])
def test_a_job_is_resumed_by_its_folder(train: Launcher, job: Path, given: str) -> None:
    """Inputs are read from the job's folder, and its old container is replaced."""
    (train.bin / "state").write_text(f"false {job}\n")
    result = train("--resume", given)
    photos = str(train.folder / "photos")
    assert (result.code, result.stdout) == (0, f"{job}\n")
    assert result.container.arguments == ["--resume", str(job)]
    assert result.container.mounts == {str(job): (str(job), "rw"), photos: (photos, "ro")}
    verbs = [call[0] if call[0] != "container" else call[1] for call in result.calls]
    assert verbs[-6:-4] == ["inspect", "rm"]
    assert verbs[-4:] == ["run", "logs", "wait", "rm"]


def test_what_changes_in_a_resumed_job_is_handed_on(train: Launcher, job: Path) -> None:
    """Another image and --allow-missing are passed on, to be noted in the job's folder."""
    result = train("--resume", job, "--allow-missing", "--docker-image=x")
    expected = ["--resume", str(job), "--allow-missing", "--docker-image", "x"]
    assert (result.code, sorted(result.container.arguments)) == (0, sorted(expected))


def test_a_running_job_is_not_resumed(train: Launcher, job: Path) -> None:
    """A job in training is refused, with how to follow and how to stop it."""
    (train.bin / "state").write_text(f"true {job}\n")
    result = train("--resume", job)
    assert (result.code, result.stdout, result.containers) == (1, "", [])
    assert "A job is trained once at a time" in result.stderr
    assert f"docker logs --follow {TRAINING}; stop: docker container stop {TRAINING}" in result.stderr


@pytest.mark.parametrize("state", ["true", "false"])
def test_the_container_of_another_job_is_left_alone(train: Launcher, job: Path, state: str) -> None:
    """A job of the same name in another folder keeps its container; the error gives the remedy."""
    (train.bin / "state").write_text(f"{state} /else/where/{job.name}\n")
    result = train(*NEW)
    assert (result.code, len(result.containers)) == (1, 1)
    assert f"belongs to another job: /else/where/{job.name}. Rename the folder {job}" in result.stderr
    assert [call for call in result.calls if "rm" in call] == []


def test_a_container_name_is_made_of_any_folder_name(train: Launcher, job: Path) -> None:
    """A job folder that was renamed has a container of a name docker takes."""
    renamed = job.rename(train.folder / "größe, my best $(touch pwned)")
    (train.bin / "prepared").write_text(f"{renamed}\n")
    trains = train("--resume", renamed).container
    assert re.fullmatch(r"nimakit-gr_+e__my_best___touch_pwned_", trains.options["--name"][0])
    assert not (train.folder / "pwned").exists()


def test_a_resumed_job_takes_no_other_options(train: Launcher, job: Path) -> None:
    """What would have no effect on a job that exists already is refused."""
    result = train("--resume", job, "--detach", "--prepare-only")
    assert (result.code, result.stdout, result.containers) == (1, "", [])
    assert "--resume JOB takes everything else from the job folder. Received: --" in result.stderr


@pytest.mark.parametrize(("given", "runtime"), [("photos", "docker"), ("missing", "native"), ("", "docker")])
def test_what_is_no_job_folder_is_not_resumed(train: Launcher, given: str, runtime: str) -> None:
    """A folder without run.json is refused in the words of the command."""
    result = train(f"--resume={given}", runtime=runtime)
    assert (result.code, result.stdout, result.containers) == (1, "", [])
    assert f"A job folder holds run.json, which train-local writes. Received: {given}\n" in result.stderr


# --- native --------------------------------------------------------------------------------------------


def test_native_training_is_followed_to_its_end(native: Launcher, job: Path) -> None:
    """Without Docker the same: prepared, trained with its output in the log, followed."""
    result = native(*NEW, runtime="native")
    assert (result.code, result.stdout) == (0, f"{job}\n")
    assert result.stderr.splitlines() == [
        "train-local: runtime native (.venv)",
        f"nimakit<train --prepare-only {' '.join(NEW)}>",
        "train-local: following the log; Ctrl-C stops following, not the training",
        f"nimakit<train --resume {job}>",
        "on stdout",
    ]
    assert (job / "logs" / "train.log").read_text() == f"nimakit<train --resume {job}>\non stdout\n"
    assert not (job / "logs" / "train.pid").exists()
    assert result.calls == []


def test_a_native_job_that_failed_is_resumed(native: Launcher, job: Path) -> None:
    """The exit code of training is passed on; after a resume only new output is shown."""
    (native.repository / ".venv" / "bin" / "exit-code").write_text("3")
    first = native(*NEW, runtime="native")
    second = native("--resume", "train_jobs/2026_01_02_03_04_05", runtime="native")
    assert (first.code, second.code, second.stdout) == (3, 3, f"{job}\n")
    assert first.stderr.splitlines()[-2:] == [
        f"train-local: training ended with exit code 3. Its output stays in: {job}/logs/train.log",
        f"train-local: go on: {native.repository}/train-local --resume {job}",
    ]
    assert second.stderr.count("on stdout") == 1
    assert (job / "logs" / "train.log").read_text().count("on stdout") == 2


def test_a_refused_native_job_trains_nothing(native: Launcher, job: Path) -> None:
    """What the command refuses ends the launcher with its exit code."""
    (native.repository / ".venv" / "bin" / "prepared").unlink()
    result = native(*NEW, runtime="native")
    assert (result.code, result.stdout) == (1, "")
    assert not (job / "logs" / "train.log").exists()


def test_a_native_job_can_be_prepared_alone(native: Launcher, job: Path) -> None:
    """--prepare-only prints the job folder, and starts nothing."""
    result = native(*NEW, "--prepare-only", runtime="native")
    assert (result.code, result.stdout) == (0, f"{job}\n")
    assert not (job / "logs" / "train.log").exists()


@pytest.mark.parametrize("detach", [True, False])
def test_native_training_outlives_its_launcher(native: Launcher, job: Path, *, detach: bool) -> None:
    """Detached or after Ctrl-C, training goes on in a session of its own, can be stopped, but not doubled."""
    programs = native.repository / ".venv" / "bin"
    (programs / "keeps-running").touch()
    if detach:
        result = native(*NEW, "--detach", runtime="native")
        code, stdout, stderr = result.code, result.stdout, result.stderr
    else:
        with running(native, *NEW, runtime="native") as (process, read_on):
            wait_until(lambda: "nimakit<train --resume" in read_on())
            os.killpg(process.pid, signal.SIGINT)
            stdout, stderr = process.communicate(timeout=10)
            code = process.returncode
    training = int((job / "logs" / "train.pid").read_text())
    try:
        wait_until(lambda: (programs / "group").exists() and (programs / "group").read_text() != "")
        assert int((programs / "group").read_text()) == training
        assert (code, stdout) == (0 if detach else 130, f"{job}\n")
        assert stderr.splitlines()[-3:] == hints(
            job, f"{native.repository}/train-local", f"tail -f {job}/logs/train.log", f"kill {training}"
        )
        for runtime in ("native", "docker"):
            again = native("--resume", job, runtime=runtime)
            assert (again.code, again.containers) == (1, [])
            assert f"is in training. Stop it: kill {training}\n" in again.stderr
    finally:
        os.kill(training, signal.SIGTERM)
    wait_until(lambda: (job / "logs" / "train.log").read_text().endswith("saved\n"))
    (programs / "keeps-running").unlink()
    wait_until(lambda: native("--resume", job, runtime="native").code == 0)


def test_an_old_process_number_is_no_running_job(native: Launcher, job: Path) -> None:
    """A number that another program has by now, or that is none, does not keep a job from going on."""
    for text in (f"{os.getpid()}\n", "-1\n", "x[$(touch pwned)]\n", ""):
        (job / "logs" / "train.pid").write_text(text)
        assert native("--resume", job, runtime="native").code == 0
    assert not (native.folder / "pwned").exists()
