"""nimakit.serving.admission: work waits for memory or is refused."""

import threading

import pytest

from nimakit.errors import BusyError
from nimakit.serving.admission import Admission, OversizedWorkError


def test_work_is_admitted_while_all_of_it_fits() -> None:
    """Past that it is refused, and admitted again once room was given back."""
    admission = Admission(100)
    with admission.admit(60), admission.admit(40), pytest.raises(BusyError), admission.admit(1, timeout=0):
        pass
    with admission.admit(100):
        pass


def test_only_so_much_is_done_at_once() -> None:
    """However little memory it takes."""
    admission = Admission(100, at_once=2)
    with admission.admit(1), admission.admit(1), pytest.raises(BusyError), admission.admit(1, timeout=0):
        pass


def test_work_waits_a_moment_for_its_turn() -> None:
    """It is admitted as soon as there is room."""
    admission = Admission(100)
    began, ended = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        with admission.admit(100, timeout=None):
            ended.set()

    with admission.admit(100):
        waiting = threading.Thread(target=work)
        waiting.start()
        assert began.wait(5)
        assert not ended.is_set()
    waiting.join(5)
    assert ended.is_set()


def test_only_so_much_waits() -> None:
    """The rest is refused at once, however patient it is."""
    admission = Admission(100, most_waiting=1)
    began = threading.Event()

    def work() -> None:
        began.set()
        with admission.admit(100, timeout=None):
            pass

    with admission.admit(100):
        waiting = threading.Thread(target=work)
        waiting.start()
        assert began.wait(5)
        while admission._waiting == 0:
            pass
        with pytest.raises(BusyError), admission.admit(1, timeout=None):
            pass
    waiting.join(5)
    assert not waiting.is_alive()


def test_work_that_never_fits_is_refused_at_once() -> None:
    """As too large, and not as something to be tried again."""
    with pytest.raises(OversizedWorkError, match="may take 100 bytes"), Admission(100).admit(101):
        pass


def test_work_that_fails_gives_its_room_back() -> None:
    """Nothing is lost to errors."""
    admission = Admission(100)
    for _ in range(3):
        with pytest.raises(KeyError), admission.admit(100, timeout=0):
            raise KeyError
