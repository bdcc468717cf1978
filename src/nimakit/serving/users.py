"""The users of a server: one person's scores, their files read when they are first asked for."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nimakit.engine import Augmentation, Model, Scorer
from nimakit.errors import ModelError, UnknownUserError, first_line
from nimakit.taste import SUFFIX, USER_ID, read_taste

Scorers = dict[Augmentation, Scorer]


@dataclass(frozen=True, slots=True)
class _Kept:
    """Scorers made from a file, and which state of the file it was."""

    version: tuple[int, int]
    scorers: Scorers


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

    def find(self, user: str, model_name: str, model: Model) -> Scorers:
        """What scores as a user would; a file that has changed is read anew.

        Args:
            user: Fits `USER_ID`.
            model_name: What the model is served as.
            model: The model the user's file must belong to.

        Raises:
            UnknownUserError: No such user, or none with this model.
            TasteError: The file is broken.
        """
        missing = UnknownUserError(
            f"A user has a file here for the model. Received: {user} with {model_name}"
        )
        if self._folder is None or not USER_ID.fullmatch(user):
            raise missing
        path = self._folder / f"{user}{SUFFIX}"
        try:
            found = path.stat()
        except OSError:
            raise missing from None
        key, version = (model_name, user), (found.st_mtime_ns, found.st_size)
        with self._lock:
            kept = self._kept.get(key)
            if kept and kept.version == version:
                self._kept.move_to_end(key)
                return kept.scorers
        taste = read_taste(path)
        try:
            personal = model.for_user(taste)
        except ModelError as error:  # of another model, or of adapters that the file served has no room for
            raise UnknownUserError(f"{missing} ({first_line(error)})") from None
        kept = _Kept(version, self._make_scorers(personal))
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return kept.scorers

    def __len__(self) -> int:
        return len(self._kept)
