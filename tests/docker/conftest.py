"""The launchers over a real Docker engine: the image is built once a session, by the launcher itself."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples"
BUILD_SECONDS = 900


def docker(*arguments: str) -> str:
    """What a docker command prints."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """Runs a launcher, in Docker by default.

    Attributes:
        cache: Its cache folder, empty at first.
        program: Which launcher.
    """

    cache: Path
    program: str = "predict"

    def command(self, arguments: Sequence[str | Path], *, repository: Path = ROOT) -> list[str | Path]:
        """What a shell would be given."""
        return [repository / self.program, *arguments]

    def environment(self, runtime: str = "docker") -> dict[str, str]:
        """The surroundings of a run."""
        kept = {name: value for name, value in os.environ.items() if name not in {"PWD", "NIMAKIT_CACHE"}}
        return {**kept, "NIMAKIT_RUNTIME": runtime, "NIMAKIT_CACHE": str(self.cache)}

    def __call__(
        self,
        *arguments: str | Path,
        folder: Path = ROOT,
        runtime: str = "docker",
        env: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        return subprocess.run(
            self.command(arguments),
            cwd=folder,
            env={**self.environment(runtime), **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of our CPU image; it and the light one are built by the launcher if missing or old."""
    launcher = Launcher(cache=tmp_path_factory.mktemp("cache"))
    for options in ([], ["--docker-image", "nima-cpu"]):
        _build(launcher, "--image-source", SAMPLES / "coffee.jpg", *options)
    return "nima-cpu"


@pytest.fixture(scope="session")
def ray_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of our image with Ray, built by the launcher if it is missing or old."""
    folder = tmp_path_factory.mktemp("parquet")
    launcher = Launcher(cache=tmp_path_factory.mktemp("cache"))
    _build(
        launcher,
        *("--image-source", SAMPLES / "coffee.jpg", "--predictions-file", folder / "scores.parquet"),
    )
    return "nima-ray"


@pytest.fixture(scope="session")
def serving_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of our serving image, built by the launcher where it is missing or old."""
    _build(Launcher(cache=tmp_path_factory.mktemp("cache"), program="serve"), "--new-key", "somebody")
    return "nima-serve"


def _build(launcher: Launcher, *arguments: str | Path) -> None:
    """Have a launcher build its image, by running it with something that ends at once."""
    done = subprocess.run(
        launcher.command(arguments),
        env=launcher.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def predict(image: str, tmp_path: Path) -> Launcher:
    """The launcher, with the image built."""
    return Launcher(cache=tmp_path / "cache")
