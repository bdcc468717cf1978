"""Personal scores: scorers of users' .taste files, loaded at their first request and cached."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nimakit.errors import ModelError, NimakitError, TasteError, UnknownUserError, first_line
from nimakit.models.engine import Model, Scorer
from nimakit.models.preparation import Augmentation
from nimakit.models.score import Score
from nimakit.models.taste import SUFFIX, USER_ID, read_taste
from nimakit.serving.admission import Admission

Wanted = tuple[Augmentation, bool]
"""What a request wants of a model: its augmentation, and whether with technical measures."""
Scorers = dict[Wanted, Scorer[Score]]

_MOST_WAITING = 8
_TIMEOUT_S = 2.0
"""Files are loaded one at a time: this many requests may wait this long for theirs, the rest are refused."""


@dataclass(frozen=True, slots=True)
class _Cached:
    """Result of loading a file, and the version of the file."""

    version: tuple[int, int]
    result: Scorers | NimakitError


class Users:
    """Users with a file in one folder, the most recently used ones cached.

    Args:
        folder: Folder of USER.taste files; None for no users.
        most: Largest number of cached users, each with one model.
        make_scorers: Makes the scorers of a model, one for each augmentation, with measures and without.
    """

    def __init__(self, folder: Path | None, most: int, make_scorers: Callable[[Model], Scorers]) -> None:
        self._folder = folder
        self._most = most
        self._make_scorers = make_scorers
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, str], _Cached] = OrderedDict()
        self._loading = Admission(0, at_once=1, most_waiting=_MOST_WAITING)

    def find(self, user: str, model_name: str, model: Model) -> Scorers:
        """Scorers of a user. A file that has changed is loaded again.

        Args:
            user: The user's name.
            model_name: Name the model is served under.
            model: The model that the user's file must belong to.

        Raises:
            UnknownUserError: There is no such user, or none for this model.
            TasteError: The file is broken.
            BusyError: The file is not cached, and too many others are being loaded.
        """
        missing = UnknownUserError(f"There is no file for user {user} with the model {model_name}.")
        if self._folder is None or not USER_ID.fullmatch(user):
            raise missing
        path = self._folder / f"{user}{SUFFIX}"
        try:
            found = path.stat()
        except OSError:
            raise missing from None
        key, version = (model_name, user), (found.st_mtime_ns, found.st_size)
        result = self._look_up(key, version)
        if result is None:
            with self._loading.admit(0, _TIMEOUT_S):
                result = self._look_up(key, version)  # another request may have loaded it meanwhile
                if result is None:
                    result = self._load(path, model, missing)
                    self._store(key, _Cached(version, result))
        if isinstance(result, NimakitError):
            raise type(result)(*result.args)  # a new error, with the traceback of its own request
        return result

    def _look_up(self, key: tuple[str, str], version: tuple[int, int]) -> Scorers | NimakitError | None:
        with self._lock:
            cached = self._cache.get(key)
            if cached is None or cached.version != version:
                return None
            self._cache.move_to_end(key)
            return cached.result

    def _load(self, path: Path, model: Model, missing: UnknownUserError) -> Scorers | NimakitError:
        """Scorers of a user's file, or what is wrong with it; faults of the machine are raised."""
        try:
            taste = read_taste(path)
        except TasteError as error:
            return type(error)(*error.args)
        try:
            return self._make_scorers(model.for_user(taste))
        except ModelError as error:  # the file belongs to another model, or has adapters this one lacks
            return UnknownUserError(f"{missing} ({first_line(error)})")

    def _store(self, key: tuple[str, str], cached: _Cached) -> None:
        with self._lock:
            self._cache[key] = cached
            self._cache.move_to_end(key)
            while len(self._cache) > self._most:
                self._cache.popitem(last=False)

    def __len__(self) -> int:
        return len(self._cache)
