"""Copy finished jobs to an S3 bucket."""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nimakit.errors import OutputError, UsageError, first_line, require_extra
from nimakit.progress import track

_EXCLUDED_FOLDERS = {"state"}
_EXCLUDED_SUFFIXES = {".partial", ".pid", ".tmp"}
# Not from mimetypes, whose tables differ between machines.
_CONTENT_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".log": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
}


def require() -> None:
    """Check that jobs can be uploaded, before hours of training.

    Raises:
        MissingExtraError: boto3 is not installed.
    """
    require_extra("s3", "Copying a job to a bucket needs boto3.", "boto3")


def upload_job(folder: Path, bucket: str, *, notify: Callable[[str], None]) -> str:
    """Copy a job folder to ``s3://<bucket>/<job name>/``; nothing local changes.

    boto3 finds credentials, region and endpoint: the AWS_ variables, ~/.aws, the machine's role. The state
    to resume from (state/) and unfinished files are excluded.

    Args:
        folder: A job folder.
        bucket: Name of the bucket, optionally with a prefix: "team-models", "team-models/nima".
        notify: Called with messages about the progress.

    Returns:
        The URL of the copy: ``s3://<bucket>/<job name>/``.

    Raises:
        UsageError: The name of the bucket is empty.
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
    """The content type of a file, so that a browser opens a report as a page.

    Example:
        >>> content_type(Path("report.html"))
        'text/html; charset=utf-8'
        >>> content_type(Path("model.onnx"))
        'application/octet-stream'
    """
    return _CONTENT_TYPES.get(path.suffix, "application/octet-stream")


def _files(folder: Path) -> Iterator[Path]:
    """All results by name, with run.json last, so that a copy with run.json is complete."""
    found = (path for path in folder.rglob("*") if path.is_file() and _is_result(path.relative_to(folder)))
    yield from sorted(found, key=lambda path: (path.name == "run.json", path))


def _is_result(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return not (hidden or path.parts[0] in _EXCLUDED_FOLDERS or path.suffix in _EXCLUDED_SUFFIXES)


def _client() -> Any:
    import boto3

    return boto3.client("s3")


def _failures() -> tuple[type[Exception], ...]:
    """The errors of a missing network, missing credentials, a missing bucket or a missing file."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return (Boto3Error, BotoCoreError, ClientError, OSError)
