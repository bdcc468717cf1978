"""The bash files themselves."""

import os
import re
import subprocess

import pytest

from launchers import ROOT


def bash_scripts() -> list[str]:
    """Every bash file of the checkout, by its first line."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")[:-1]
    first = re.compile(rb"#!.*\b(ba)?sh\b|# shellcheck shell=bash")
    scripts = []
    for name in listed:
        path = ROOT / name
        if path.is_file() and first.match(path.read_bytes()[:80]):
            scripts.append(name)
    return sorted(scripts)


SOURCED = ["scripts/containers.sh", "scripts/runtime.sh"]
SCRIPTS = bash_scripts()
ENTRYPOINTS = [name for name in SCRIPTS if name.startswith("entrypoints/")]


def test_all_scripts_are_known() -> None:
    """The tests below cover the launchers, the entrypoints and the files that they source."""
    launchers = {"nimakit", "predict", "rate", "serve", "train-local"}
    assert {*launchers, "run-tests", ".ci/run", "scripts/lock", *SOURCED} <= set(SCRIPTS)
    assert [f"entrypoints/{path.name}" for path in sorted((ROOT / "entrypoints").iterdir())] == ENTRYPOINTS


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name not in {*SOURCED, *ENTRYPOINTS}])
def test_a_script_stops_at_the_first_failure(name: str) -> None:
    """A script has a shebang, a comment on its purpose, and sets -euo pipefail before anything else."""
    lines = (ROOT / name).read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[1].startswith("# ")
    assert next(line for line in lines if not line.startswith("#")) == "set -euo pipefail"
    assert os.access(ROOT / name, os.X_OK)


@pytest.mark.parametrize("name", ENTRYPOINTS)
def test_an_entrypoint_is_one_exec_line(name: str) -> None:
    """An entrypoint is a shebang and one exec that passes all arguments on, so that signals arrive."""
    shebang, line = (ROOT / name).read_text().splitlines()
    assert shebang == "#!/usr/bin/env bash"
    assert re.fullmatch(r'exec [^;&|]+ "\$@"', line)
    assert os.access(ROOT / name, os.X_OK)


@pytest.mark.parametrize("name", SOURCED)
def test_what_is_sourced_is_not_run(name: str) -> None:
    """A shared file has no shebang and is not executable."""
    assert not (ROOT / name).read_text().startswith("#!")
    assert (ROOT / name).stat().st_mode & 0o111 == 0


def test_run_tests_checks_every_script() -> None:
    """Shellcheck is run over every bash file there is."""
    (line,) = (
        line.split()[1:]
        for line in (ROOT / "run-tests").read_text().splitlines()
        if line.split()[:1] == ["shellcheck"]
    )
    checked = {str(path.relative_to(ROOT)) for pattern in line for path in ROOT.glob(pattern)}
    assert checked == set(SCRIPTS)


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_run_tests_has_help(option: str) -> None:
    """./run-tests --help prints its options and installs nothing."""
    done = subprocess.run([ROOT / "run-tests", option], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Checks and tests: ./run-tests [--lint | --fast | --slow | --ray | ")
    assert {"--lint", "--fast", "--slow", "--ray", "--docker", "--exhaustive"} <= set(done.stdout.split())
    assert done.stderr == ""
