"""The cache folder, for downloaded weights and whatever is computed from them or from images."""

import hashlib
import os
from pathlib import Path

from nimakit.errors import OutputError


def cache_folder() -> Path:
    """The folder named by ``NIMAKIT_CACHE``, or nimakit's folder in the user's cache."""
    if os.environ.get("NIMAKIT_CACHE"):
        return Path(os.environ["NIMAKIT_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nimakit"


def find_cached(file_name: str) -> Path | None:
    """Find a file in the cache, or else among the models built into a container image."""
    folders = [cache_folder()]
    if os.environ.get("NIMAKIT_BUILTIN_MODELS"):
        folders.append(Path(os.environ["NIMAKIT_BUILTIN_MODELS"]))
    return next((folder / file_name for folder in folders if (folder / file_name).is_file()), None)


def writable_cache() -> Path:
    """The cache folder, created if it is missing.

    Raises:
        OutputError: It cannot be created or written to.
    """
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK) else "permission denied"
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        raise OutputError(
            f"The cache folder must be writable. Received: {folder} ({reason}); set NIMAKIT_CACHE to another."
        )
    return folder


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def blob_id(path: Path) -> str:
    """The id git gives a file, in hexadecimal: SHA-1 of ``blob SIZE``, a null byte and the content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()
