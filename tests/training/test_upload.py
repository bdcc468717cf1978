"""Copies of finished jobs in a bucket: one that moto keeps in memory."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from moto import mock_aws

from nimakit.errors import MissingExtraError, OutputError, UsageError
from nimakit.training import upload
from nimakit.training.upload import upload_job

BUCKET = "team-models"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An S3 in memory, and made-up credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


@pytest.fixture
def bucket(aws: None) -> Any:
    """A client of that S3, which has an empty bucket."""
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A finished job, with leftovers."""
    folder = tmp_path / "my jobs" / "2026_01_02_03_04_05"
    for name in (
        *("config.json", "run.json", "report.html", "model.onnx", "history.csv", "MODEL_CARD.md"),
        *("weights/weights_MobileNet_01_0.123.weights.h5", "logs/train.log", "logs/train.pid"),
        *("state/last.weights.h5", ".0123456789ab.partial", "logs/events.out.tfevents.1"),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def keys(client: Any) -> dict[str, str]:
    """Key -> content type of what is in the bucket."""
    found = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {
        entry["Key"]: client.head_object(Bucket=BUCKET, Key=entry["Key"])["ContentType"] for entry in found
    }


def test_a_job_is_copied_under_its_name(job: Path, bucket: Any) -> None:
    """All results arrive with the type a browser needs; state and unfinished files stay behind."""
    messages: list[str] = []
    assert upload_job(job, BUCKET, notify=messages.append) == f"s3://{BUCKET}/{job.name}/"
    assert keys(bucket) == {
        f"{job.name}/{name}": kind
        for name, kind in {
            "MODEL_CARD.md": "text/markdown; charset=utf-8",
            "config.json": "application/json",
            "history.csv": "text/csv; charset=utf-8",
            "logs/events.out.tfevents.1": "application/octet-stream",
            "logs/train.log": "text/plain; charset=utf-8",
            "model.onnx": "application/octet-stream",
            "report.html": "text/html; charset=utf-8",
            "run.json": "application/json",
            "weights/weights_MobileNet_01_0.123.weights.h5": "application/octet-stream",
        }.items()
    }
    body = bucket.get_object(Bucket=BUCKET, Key=f"{job.name}/model.onnx")["Body"].read()
    assert body == b"model.onnx"
    assert messages == [f"copying 9 files to s3://{BUCKET}/{job.name}/"]


@pytest.mark.parametrize("value", [f"{BUCKET}/nima/own", f"s3://{BUCKET}/nima/own/"])
def test_a_bucket_may_have_a_prefix(job: Path, bucket: Any, value: str) -> None:
    """The part after the bucket's name comes before the job's name."""
    assert upload_job(job, value, notify=print) == f"s3://{BUCKET}/nima/own/{job.name}/"
    assert f"nima/own/{job.name}/run.json" in keys(bucket)


def test_a_prefix_may_repeat_the_name(job: Path, bucket: Any) -> None:
    """A prefix with the name of the bucket is kept."""
    upload_job(job, f"{BUCKET}/{BUCKET}", notify=print)
    assert f"{BUCKET}/{job.name}/run.json" in keys(bucket)


def test_what_is_complete_says_so_last(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """run.json is copied last, so a copy with run.json is complete."""
    copied: list[str] = []

    class Client:
        def upload_file(self, path: str, *_: object, **__: object) -> None:
            copied.append(Path(path).name)

    monkeypatch.setattr(upload, "_client", Client)
    upload_job(job, BUCKET, notify=print)
    assert copied[-1] == "run.json"


def test_a_missing_bucket_is_an_output_error(job: Path) -> None:
    """The error says why, that nothing is lost, and which command copies the job by hand."""
    before = sorted(job.rglob("*"))
    with pytest.raises(OutputError, match="NoSuchBucket") as caught:
        upload_job(job, "no-such-bucket/x", notify=print)
    assert f"the job is in {job}." in str(caught.value)
    assert str(caught.value).endswith(f"'{job}' s3://no-such-bucket/x/{job.name}/")
    assert sorted(job.rglob("*")) == before


def test_missing_credentials_are_an_output_error(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials the error says so."""

    class Client:
        def upload_file(self, *_: object, **__: object) -> None:
            raise NoCredentialsError

    monkeypatch.setattr(upload, "_client", Client)
    with pytest.raises(OutputError, match="Unable to locate credentials"):
        upload_job(job, BUCKET, notify=print)


@pytest.mark.slow
def test_an_endpoint_that_does_not_answer_is_an_output_error(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the address in AWS_ENDPOINT_URL."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(OutputError, match=r"127\.0\.0\.1:9"):
        upload_job(job, BUCKET, notify=print)


@pytest.mark.parametrize("value", ["", "/", "s3://"])
def test_an_empty_bucket_name_is_refused(job: Path, value: str) -> None:
    """Nothing is uploaded without a name."""
    with pytest.raises(UsageError, match="s3_bucket is the name of a bucket"):
        upload_job(job, value, notify=print)


def test_without_boto3_the_install_line_is_given(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the command that installs the missing package."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nimakit\[s3\]'"):
        upload_job(job, BUCKET, notify=print)
