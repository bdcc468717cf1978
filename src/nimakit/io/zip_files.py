"""Zip archives of others: the sizes they declare are checked before anything is unpacked."""

import zipfile

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def check(archive: zipfile.ZipFile, size: int, *, times: int = 1) -> None:
    """Refuse an archive that would unpack to more than it may.

    zipfile unpacks no more of a member than its entry declares, so the entries are what counts. Several
    of them may be the same bytes.

    Args:
        archive: Open; nothing was read from it.
        size: Bytes of the archive itself.
        times: To how many times its size its members may unpack, all together.

    Raises:
        ValueError: It may not be unpacked.
    """
    entries = archive.infolist()
    if any(entry.compress_type not in _METHODS or entry.flag_bits & 1 for entry in entries):
        raise ValueError("it is encrypted, or packed in a way that is not deflate")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > times * size:
        often = "its own size" if times == 1 else f"{times} times its own size"
        raise ValueError(f"it has {size} bytes and unpacks to {unpacked}, which is more than {often}")
