"""Copies of finished jobs in a bucket."""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nimakit.errors import MissingExtraError, OutputError, UsageError, first_line
from nimakit.progress import track

_LEFT_OUT_FOLDERS = {"state"}
_LEFT_OUT_SUFFIXES = {".partial", ".pid", ".tmp"}
# Not from the system's tables, which differ from one machine to the next.
_CONTENT_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".log": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
}


def require() -> None:
    """Refuse an upload that cannot come about, before hours of training go towards it.

    Raises:
        MissingExtraError: boto3 is not installed.
    """
    try:
        import boto3  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Copying a job to a bucket needs boto3. Install it: pip install 'nimakit[s3]'"
        ) from error


def upload_job(folder: Path, bucket: str, *, notify: Callable[[str], None]) -> str:
    """Copy a job folder to ``s3://<bucket>/<job name>/``; nothing local changes.

    Credentials, region and endpoint are found as boto3 finds them: the AWS_ variables, ~/.aws, the machine's
    role. What a stopped job goes on from (state/) and unfinished files are left out.

    Args:
        folder: A job folder.
        bucket: Name of the bucket, with a prefix or without: "team-models", "team-models/nima".
        notify: Told in a sentence what happens.

    Returns:
        Where the copy is: ``s3://<bucket>/<job name>/``.

    Raises:
        UsageError: No bucket's name.
        MissingExtraError: boto3 is not installed.
        OutputError: A file could not be copied; the job folder is untouched.
    """
    require()
    name, _, prefix = bucket.removeprefix("s3://").strip("/").partition("/")
    if not name:
        raise UsageError(f"s3_bucket is the name of a bucket, as in team-models/nima. Received: {bucket}")
    folder = folder.absolute()
    target = "/".join(part for part in (name, prefix.strip("/"), folder.name) if part)
    url = f"s3://{target}/"
    paths = list(_files(folder))
    notify(f"copying {len(paths)} files to {url}")
    try:
        client = _client()
        for path in track(paths, len(paths), "uploading"):
            key = f"{target}/{path.relative_to(folder).as_posix()}".removeprefix(f"{name}/")
            client.upload_file(str(path), name, key, ExtraArgs={"ContentType": content_type(path)})
    except _failures() as error:
        raise OutputError(
            f"A finished job must reach its bucket. Received: {url}, {first_line(error)}. Nothing is lost:"
            f" the job is in {folder}. Copy it by hand: aws s3 cp --recursive --exclude 'state/*'"
            f" {shlex.quote(str(folder))} {shlex.quote(url)}"
        ) from error
    return url


def content_type(path: Path) -> str:
    """What a browser is told of a file, so that a report opens as a page.

    Example:
        >>> content_type(Path("report.html"))
        'text/html; charset=utf-8'
        >>> content_type(Path("model.onnx"))
        'application/octet-stream'
    """
    return _CONTENT_TYPES.get(path.suffix, "application/octet-stream")


def _files(folder: Path) -> Iterator[Path]:
    """All by name but run.json, which is last: where it is, all else is."""
    found = (path for path in folder.rglob("*") if path.is_file() and _is_result(path.relative_to(folder)))
    yield from sorted(found, key=lambda path: (path.name == "run.json", path))


def _is_result(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return not (hidden or path.parts[0] in _LEFT_OUT_FOLDERS or path.suffix in _LEFT_OUT_SUFFIXES)


def _client() -> Any:
    import boto3

    return boto3.client("s3")


def _failures() -> tuple[type[Exception], ...]:
    """What boto3 raises for want of a network, credentials or the bucket, and reading for want of a file."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return (Boto3Error, BotoCoreError, ClientError, OSError)
