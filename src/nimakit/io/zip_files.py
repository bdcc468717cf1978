"""Untrusted zip archives: the sizes they declare are checked before anything is unpacked."""

import zipfile

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def check(archive: zipfile.ZipFile, size: int, *, times: int = 1) -> None:
    """Refuse an archive that would unpack to too many bytes.

    zipfile unpacks no more of an entry than it declares, so it is enough to check the declared sizes. Several
    entries may share the same bytes.

    Args:
        archive: Open; nothing has been read from it.
        size: Bytes of the archive itself.
        times: How many times its own size the entries may unpack to, all together.

    Raises:
        ValueError: It must not be unpacked.
    """
    entries = archive.infolist()
    if any(entry.compress_type not in _METHODS or entry.flag_bits & 1 for entry in entries):
        raise ValueError("it is encrypted, or compressed by another method than deflate")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > times * size:
        limit = "its own size" if times == 1 else f"{times} times its own size"
        raise ValueError(f"it has {size} bytes and unpacks to {unpacked}, which is more than {limit}")
