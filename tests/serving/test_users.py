"""nimakit.serving.users: personal scores over HTTP."""

import os
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from clients import Client, client, encode, form, service
from nimakit.errors import BusyError, ModelError, TasteError, UnknownUserError
from nimakit.models.engine import Model
from nimakit.models.taste import Taste, linear, read_taste, write_taste
from nimakit.serving.users import Users
from terminal import Command

WEIGHTS = [0.5, -0.25, 0.25]


def _write(path: Path, model: Model, weights: Any = WEIGHTS, constant: float = 0.1) -> Path:
    arrays = linear(weights, 0.0, constant)
    probe, _ = model.probe()
    write_taste(path, Taste(method="head", base=probe, base_name="tiny", ratings=9, arrays=arrays))
    return path


def _mean(web: Client, query: str) -> float:
    response = web.post(f"/predict?{query}", data=form(("a.png", encode(120))))
    assert response.status_code == 200, response.text
    return float(response.json[0]["mean_score_prediction"])


@pytest.fixture
def folder(tmp_path: Path, tiny: Model) -> Path:
    """A folder of users with one user, ann."""
    users = tmp_path / "users"
    users.mkdir()
    _write(users / "ann.taste", tiny)
    return users


@pytest.fixture
def personal(tiny_file: Path, score_file: Path, folder: Path) -> Any:
    """A client of an application that has users."""
    found = client(tiny_file, score_file, users_dir=str(folder), max_users=2)
    yield found
    service(found).close()


def test_a_user_gets_their_own_scores(personal: Client, tiny: Model, folder: Path) -> None:
    """The engine's with their file; everybody else's stay as they are."""
    generic = _mean(personal, "")
    mean = _mean(personal, "user=ann")
    own = tiny.for_user(read_taste(folder / "ann.taste"))
    [record] = own.predict(encode(120), augmented=True)
    assert mean == pytest.approx(record["mean_score_prediction"], abs=1e-5)
    assert abs(mean - generic) > 0.05
    assert _mean(personal, "") == generic
    assert _mean(personal, "user=ann&tta=flips") == pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize("user", ["bob", "ANN"])
def test_an_unknown_user_is_not_found(personal: Client, user: str) -> None:
    """And the answer says which it was."""
    response = personal.post(f"/predict?user={user}", data=form(("a.png", encode(120))))
    assert response.status_code == 404
    assert user in response.json["detail"]


@pytest.mark.parametrize("user", ["", "../ann", "ann.taste", "a" * 65, "a/b", "a%00", "é"])
def test_an_id_that_is_none_is_refused(personal: Client, user: str) -> None:
    """Nothing but letters, digits, _ and - ever becomes part of a path."""
    response = personal.post(f"/predict?user={user}", data=form(("a.png", encode(120))))
    assert response.status_code == 400
    assert "'user' must be" in response.json["detail"]


def test_a_user_of_another_model_is_not_found(personal: Client) -> None:
    """The file belongs to the model it was learned with."""
    response = personal.post("/predict?user=ann&model=score", data=form(("a.png", encode(120))))
    assert response.status_code == 404


def test_a_user_of_another_model_file_is_told_which(personal: Client, folder: Path, tiny: Model) -> None:
    """Adapters need the file that was made for them."""
    probe, _ = tiny.probe()
    arrays = dict(linear(WEIGHTS, 0.0, 0.0))
    arrays["adapters/block"] = arrays.pop("weights")
    own = Taste(method="adapters", base=probe, base_name="tiny", ratings=9, arrays=arrays)
    write_taste(folder / "bea.taste", own)
    response = personal.post("/predict?user=bea", data=form(("a.png", encode(120))))
    assert response.status_code == 404
    assert "adaptable.onnx" in response.text


def test_a_server_without_users_has_none(web: Client) -> None:
    """Whatever the id."""
    assert web.post("/predict?user=ann", data=form(("a.png", encode(120)))).status_code == 404


def test_a_broken_file_is_the_servers_fault(personal: Client, folder: Path) -> None:
    """The client is told no path."""
    (folder / "bob.taste").write_bytes(b"broken")
    response = personal.post("/predict?user=bob", data=form(("a.png", encode(120))))
    assert response.status_code == 500
    assert "taste" not in response.text
    assert _mean(personal, "user=ann") > 0


def test_a_file_that_changes_is_read_anew(personal: Client, folder: Path, tiny: Model) -> None:
    """Whoever rates on sees it without a restart."""
    before = _mean(personal, "user=ann")
    path = _write(folder / "ann.taste", tiny, constant=0.6)
    os.utime(path, ns=(1, 1))
    assert _mean(personal, "user=ann") == pytest.approx(before + 0.5, abs=0.01)


def test_the_last_users_asked_for_are_kept(folder: Path, tiny: Model) -> None:
    """So many and no more; the same one is not read twice."""
    made = []

    def make(model: Model) -> Any:
        made.append(model)
        return {}

    users = Users(folder, 2, make)
    for name in ("bob", "eve"):
        _write(folder / f"{name}.taste", tiny)
    for name in ("ann", "bob", "ann", "eve", "ann"):
        users.find(name, "tiny", tiny)
    assert (len(users), len(made)) == (2, 3)
    users.find("bob", "tiny", tiny)
    assert (len(users), len(made)) == (2, 4)


def test_a_file_that_cannot_be_used_is_tried_once(
    folder: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at each request, until it changes."""
    read = []

    def count(path: Path) -> Taste:
        read.append(path)
        return read_taste(path)

    monkeypatch.setattr("nimakit.serving.users.read_taste", count)
    users = Users(folder, 2, lambda _: {})
    (folder / "bob.taste").write_bytes(b"broken")
    for _ in range(3):
        with pytest.raises(TasteError, match="bob"):
            users.find("bob", "tiny", tiny)
    assert len(read) == 1
    _write(folder / "bob.taste", tiny)
    assert users.find("bob", "tiny", tiny) == {}


def test_a_user_of_another_model_is_tried_once(
    folder: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe may take half a minute."""
    tried = []

    def refuse(_: Model, taste: Taste) -> Model:
        tried.append(taste)
        raise ModelError("A run takes too long.")

    monkeypatch.setattr(Model, "for_user", refuse)
    users = Users(folder, 2, lambda _: {})
    for _ in range(3):
        with pytest.raises(UnknownUserError, match="no file for user ann with the model tiny"):
            users.find("ann", "tiny", tiny)
    assert len(tried) == 1


def test_a_fault_of_the_machine_is_tried_again(
    folder: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing of the file."""

    def fail(_: Path) -> Taste:
        raise MemoryError

    users = Users(folder, 2, lambda _: {})
    with monkeypatch.context() as patch:
        patch.setattr("nimakit.serving.users.read_taste", fail)
        with pytest.raises(MemoryError):
            users.find("ann", "tiny", tiny)
    assert users.find("ann", "tiny", tiny) == {}


def test_requests_for_one_user_load_the_file_once(folder: Path, tiny: Model) -> None:
    """The others wait for it; those that are too many are refused."""
    made, go_on = [], threading.Event()

    def make(model: Model) -> Any:
        made.append(model)
        assert go_on.wait(5)
        return {}

    users = Users(folder, 2, make)
    with ThreadPoolExecutor(10) as pool:
        found = [pool.submit(users.find, "ann", "tiny", tiny) for _ in range(10)]
        refused, _ = wait(found, 5, FIRST_COMPLETED)
        go_on.set()
    assert [type(future.exception()) for future in refused] == [BusyError]
    assert len(made) == 1


def test_a_folder_that_is_missing_is_refused(tiny_file: Path, tmp_path: Path, nimakit: Command) -> None:
    """When the server starts, not when the first user asks."""
    result = nimakit("serve", "--model", tiny_file, "--users-dir", tmp_path / "none")
    assert result.code == 1
    assert "'users_dir' must be a folder that exists" in result.err
