"""Run the bash launchers with a fake docker that records its calls, or with the real .venv."""

import csv
import io
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "samples" / "coffee.jpg"
TOOLS = """
awk bash cat cut dirname docker env find grep id jq mkdir realpath rm sed sha256sum sleep sort tail xargs
"""
RUN_CODE = 2  # what the fake container exits with
NEW = ("--config-file", "c.json", "--samples-file", "labels.json", "--image-dir", "photos")  # a new job
TRAINING = "nimakit-2026_01_02_03_04_05"  # the container of the fake job
FLAGS = {"--rm", "--init", "--read-only", "--detach", "--no-healthcheck"}  # without a value

# Keeps the label a build gives, as an engine does; writes to stdout what the real one writes there.
_FAKE_DOCKER = """\
#!/usr/bin/env bash
printf '%s\\0' "$#" "$@" >>"$here/calls"
case $1 in
  info) [[ ! -e $here/engine-is-down ]] ;;
  image) if [[ -e $here/label ]]; then cat "$here/label"; else exit 1; fi ;;
  build)
    BUILDS
    while (($#)); do
      if [[ $1 == --label ]]; then printf '%s\\n' "${2#nimakit.sources=}" >"$here/label"; fi
      shift
    done
    ;;
  run)
    case " $* " in
      ' run --detach '*)
        echo 0123456789ab
        [[ ! -e $here/cannot-start ]]
        exit
        ;;
      *' --prepare-only '*)
        cat "$here/prepared" 2>/dev/null
        exit
        ;;
      *' fetch efficientnet-lite0 '*)
        touch "$NIMAKIT_CACHE/efficientnet-lite0-0123456789abcdef.pth"
        exit
        ;;
      *' fetch technical '*)
        if [[ -e $here/has-no-network ]]; then exit 1; fi
        touch "$NIMAKIT_CACHE/technical-0123456789abcdef.onnx"
        echo 'where it is kept'
        exit
        ;;
    esac
    echo '[]'
    exit 2
    ;;
  network)
    case $2 in
      inspect) [[ -e $here/network ]] ;;
      create)
        if [[ -e $here/no-network-left ]]; then echo 'no address is left' >&2 && exit 1; fi
        touch "$here/network"
        ;;
    esac
    ;;
  container) if [[ $2 == inspect ]]; then cat "$here/state" 2>/dev/null; fi ;;
  logs)
    echo 'on stdout'
    echo 'on stderr' >&2
    if [[ -e $here/keeps-running ]]; then exec sleep 60; fi
    ;;
  wait) cat "$here/exit-code" ;;
esac
"""

_BUILDS = "echo 'Step 1/13'"

# Prepares the job it finds beside itself; trains until the file keeps-running goes away or a signal comes.
FAKE_NIMAKIT = """\
#!/usr/bin/env bash
here=$(dirname -- "$0")
echo "nimakit<$*>" >&2
if [[ " $* " == *' --prepare-only '* ]]; then
  cat "$here/prepared"
  exit
fi
trap 'echo saved; exit 130' TERM INT
ps -o pgid= -p $$ >"$here/group"
while [[ -e $here/keeps-running ]]; do sleep 0.05; done
echo 'on stdout'
exit "$(cat "$here/exit-code" 2>/dev/null || echo 0)"
"""


def write_fake_docker(folder: Path, builds: str = _BUILDS) -> None:
    """Write the fake docker into the folder where it also keeps its files.

    Args:
        folder: Where to write it.
        builds: The line of bash that stands for a build.
    """
    docker = folder / "docker"
    lines = _FAKE_DOCKER.replace("BUILDS", builds).splitlines(keepends=True)
    docker.write_text("".join([lines[0], f"here={shlex.quote(str(folder))}\n", *lines[1:]]))
    docker.chmod(0o755)


@dataclass(frozen=True, kw_only=True)
class Container:
    """A `docker run`, taken apart.

    Attributes:
        flags: Options without a value.
        options: Option -> its values.
        mounts: Path inside -> path outside, and ro or rw; without the cache folder.
        image: The image.
        arguments: What the entrypoint gets.
    """

    flags: set[str]
    options: dict[str, list[str]]
    mounts: dict[str, tuple[str, str]]
    image: str
    arguments: list[str]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Exit code, output and docker calls of a launcher."""

    code: int
    stdout: str
    stderr: str
    calls: list[list[str]]

    def asked(self, verb: str) -> list[list[str]]:
        """The docker calls of one kind."""
        return [call for call in self.calls if call[0] == verb]

    @property
    def container(self) -> Container:
        """The one container that was run."""
        (container,) = self.containers
        return container

    @property
    def containers(self) -> list[Container]:
        """The containers that were run."""
        return [take_apart(call) for call in self.asked("run")]

    @property
    def runtime_lines(self) -> list[str]:
        """The lines that name the runtime."""
        return [line for line in self.stderr.splitlines() if "runtime " in line]


def take_apart(call: list[str]) -> Container:
    """Read the arguments of `docker run`."""
    flags: set[str] = set()
    options: dict[str, list[str]] = {}
    rest = iter(call[1:])
    for word in rest:
        if not word.startswith("--"):
            break
        if word in FLAGS:
            flags.add(word)
        else:
            options.setdefault(word, []).append(next(rest))
    mounts = {}
    for text in options.get("--mount", []):
        (fields,) = csv.reader(io.StringIO(text, newline=""))
        assert fields[0] == "type=bind"
        source, target = fields[1].removeprefix("source="), fields[2].removeprefix("target=")
        assert fields[3:] in ([], ["readonly"])
        if not target.endswith("/nimakit-cache"):
            mounts[target] = (source, "ro" if fields[3:] else "rw")
    return Container(flags=flags, options=options, mounts=mounts, image=word, arguments=list(rest))


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """Runs a launcher where docker is the fake one.

    Attributes:
        repository: The checkout whose launcher it is.
        bin: Folder of the fake docker.
        folder: Where it is started.
        program: Which launcher.
    """

    repository: Path
    bin: Path
    folder: Path
    program: str = "predict"

    def stop_engine(self) -> None:
        """From now on no engine answers."""
        (self.bin / "engine-is-down").touch()

    def surroundings(self, runtime: str | None = None) -> dict[str, str]:
        """The environment of a run."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("NIMAKIT_", "AWS_")) and name != "PWD"
        }
        kept["PATH"] = f"{self.bin}:{kept['PATH']}"
        kept["NIMAKIT_CACHE"] = str(self.bin.parent / "nimakit-cache")
        return kept if runtime is None else {**kept, "NIMAKIT_RUNTIME": runtime}

    def __call__(
        self,
        *arguments: str | Path,
        runtime: str | None = None,
        folder: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run it."""
        calls = self.bin / "calls"
        calls.unlink(missing_ok=True)
        done = subprocess.run(
            [self.repository / self.program, *arguments],
            cwd=folder or self.folder,
            env={**self.surroundings(runtime), **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return Result(
            code=done.returncode,
            stdout=done.stdout,
            stderr=done.stderr,
            calls=read_calls(calls) if calls.exists() else [],
        )


def run_functions(script: str, *arguments: str | Path, folder: Path | None = None) -> list[str]:
    """Run bash with the functions that launchers share; what it prints, split at null characters.

    One start of bash for many values: starting a launcher for each takes minutes in all.
    """
    sources = (
        'set -euo pipefail; source scripts/runtime.sh; source scripts/containers.sh; cd -- "$1"; shift\n'
    )
    done = subprocess.run(
        ["bash", "-c", sources + script, "launcher", folder or ROOT, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\0")[:-1]


def read_calls(path: Path) -> list[list[str]]:
    """What the fake docker recorded: a count, then as many arguments, again and again."""
    words = path.read_bytes().decode().split("\0")[:-1]
    calls = []
    while words:
        count = int(words[0])
        calls.append(words[1 : count + 1])
        del words[: count + 1]
    return calls


def without(tmp_path: Path, *missing: str) -> str:
    """A PATH with the tools that the launchers need, without these."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in set(TOOLS.split()) - set(missing):
        tool = tmp_path / "bin" / name if name == "docker" else shutil.which(name)
        if tool:
            (folder / name).symlink_to(tool)
    return str(folder)


def write_json(path: Path, value: object) -> Path:
    """Write a JSON file; returns its path."""
    path.write_text(json.dumps(value))
    return path


def settle(launcher: Launcher) -> None:
    """Make the fake .venv count as installed."""
    result = replace(launcher, program="nimakit")("data", "index", "photos", runtime="native")
    assert result.code == 0, result.stderr


def both(result: Result) -> tuple[Container, Container]:
    """The container that prepares the job, and the one that trains it."""
    prepares, trains = result.containers
    return prepares, trains
