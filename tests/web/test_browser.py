"""nimakit.web.browser: where the app opens one."""

import subprocess
import sys

import pytest

from nimakit.web import browser


class Terminal:
    """What is printed on a screen, or is not."""

    def __init__(self, *, is_screen: bool) -> None:
        self._is_screen = is_screen

    def isatty(self) -> bool:
        """Whether somebody sees it."""
        return self._is_screen


def surroundings(monkeypatch: pytest.MonkeyPatch, *, screens: tuple[bool, bool], **variables: str) -> None:
    """Start the process somewhere."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "stdout", Terminal(is_screen=screens[0]))
    monkeypatch.setattr(sys, "stderr", Terminal(is_screen=screens[1]))


@pytest.mark.parametrize("variable", ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"])
def test_a_browser_is_wanted_at_a_terminal_of_a_desktop(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """There somebody sees it."""
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
def test_no_browser_is_wanted_elsewhere(
    monkeypatch: pytest.MonkeyPatch, screens: tuple[bool, bool], variables: dict[str, str]
) -> None:
    """In a script, without a desktop, or from another machine."""
    surroundings(monkeypatch, screens=screens, **variables)
    assert not browser.should_open()


def test_the_browser_is_no_burden(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a process of its own, which prints nothing here and does not end with the app."""
    started: list[tuple[list[str], dict[str, object]]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: started.append((command, how)))
    browser.open_page("http://127.0.0.1:8000/")
    [(command, how)] = started
    assert command == [sys.executable, "-m", "webbrowser", "http://127.0.0.1:8000/"]
    assert how["start_new_session"]
    assert how["stdout"] == how["stderr"] == subprocess.DEVNULL
