"""The users of a server: one person's scores, their files read when they are first asked for."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nimakit.errors import ModelError, NimakitError, TasteError, UnknownUserError, first_line
from nimakit.models.engine import Augmentation, Model, Scorer
from nimakit.models.taste import SUFFIX, USER_ID, read_taste
from nimakit.serving.admission import Admission

Scorers = dict[Augmentation, Scorer]

_MOST_WAITING = 8
_PATIENCE_S = 2.0
"""Files are loaded one at a time: so many requests may wait so long for theirs, the rest are refused."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What became of a file, and which state of the file it was."""

    version: tuple[int, int]
    made: Scorers | NimakitError

    def scorers(self) -> Scorers:
        if isinstance(self.made, NimakitError):
            raise type(self.made)(*self.made.args)  # a new one: each has the traceback of its own request
        return self.made


class Users:
    """The users with a file in one folder, the last ones asked for kept loaded.

    Args:
        folder: Where USER.taste files are; None for no users at all.
        most: How many are kept loaded, each with one model.
        make_scorers: Makes the scorers of a model, one for each augmentation.
    """

    def __init__(self, folder: Path | None, most: int, make_scorers: Callable[[Model], Scorers]) -> None:
        self._folder = folder
        self._most = most
        self._make_scorers = make_scorers
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._loading = Admission(0, at_once=1, most_waiting=_MOST_WAITING)

    def find(self, user: str, model_name: str, model: Model) -> Scorers:
        """What scores as a user would; a file that has changed is read anew, be it broken or not.

        Args:
            user: Fits `USER_ID`.
            model_name: What the model is served as.
            model: The model the user's file must belong to.

        Raises:
            UnknownUserError: No such user, or none with this model.
            TasteError: The file is broken.
            BusyError: The file is not loaded yet, and others are being loaded.
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
        kept = self._look_up(key, version)
        if kept is None:
            with self._loading.admit(0, _PATIENCE_S):
                kept = self._look_up(key, version)  # another request may have loaded it meanwhile
                if kept is None:
                    kept = _Kept(version, self._load(path, model, missing))
                    self._keep(key, kept)
        return kept.scorers()

    def _look_up(self, key: tuple[str, str], version: tuple[int, int]) -> _Kept | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept.version != version:
                return None
            self._kept.move_to_end(key)
            return kept

    def _load(self, path: Path, model: Model, missing: UnknownUserError) -> Scorers | NimakitError:
        """Scorers of a user's file, or what is wrong with it; faults of the machine are raised."""
        try:
            taste = read_taste(path)
        except TasteError as error:
            return type(error)(*error.args)
        try:
            personal = model.for_user(taste)
        except ModelError as error:  # of another model, or of adapters that the file served has no room for
            return UnknownUserError(f"{missing} ({first_line(error)})")
        return self._make_scorers(personal)

    def _keep(self, key: tuple[str, str], kept: _Kept) -> None:
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)
