"""Opening the app in a browser at its start."""

import subprocess
import sys

import pytest

from nimakit.web import browser


class Terminal:
    """A stream that is or is not a terminal."""

    def __init__(self, *, is_screen: bool) -> None:
        self._is_screen = is_screen

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._is_screen


def surroundings(monkeypatch: pytest.MonkeyPatch, *, screens: tuple[bool, bool], **variables: str) -> None:
    """Simulate the environment of the process."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "stdout", Terminal(is_screen=screens[0]))
    monkeypatch.setattr(sys, "stderr", Terminal(is_screen=screens[1]))


@pytest.mark.parametrize("variable", ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"])
def test_a_browser_opens_from_a_desktop_terminal(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """The user sees it there."""
    surroundings(monkeypatch, screens=(True, True), **{variable: "x"})
    assert browser.should_open()


@pytest.mark.parametrize(
    ("screens", "variables"),
    [
        ((False, True), {"DISPLAY": ":0"}),
        ((True, False), {"DISPLAY": ":0"}),
        ((True, True), {}),
        ((True, True), {"DISPLAY": ":0", "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}),
    ],
)
def test_no_browser_opens_elsewhere(
    monkeypatch: pytest.MonkeyPatch, screens: tuple[bool, bool], variables: dict[str, str]
) -> None:
    """No browser opens in a script, without a desktop, or over SSH."""
    surroundings(monkeypatch, screens=screens, **variables)
    assert not browser.should_open()


def test_the_browser_runs_in_its_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a separate process without output, which does not end with the app."""
    started: list[tuple[list[str], dict[str, object]]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: started.append((command, how)))
    browser.open_page("http://127.0.0.1:8000/")
    [(command, how)] = started
    assert command == [sys.executable, "-m", "webbrowser", "http://127.0.0.1:8000/"]
    assert how["start_new_session"]
    assert how["stdout"] == how["stderr"] == subprocess.DEVNULL
