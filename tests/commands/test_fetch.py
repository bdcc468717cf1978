"""nimakit.commands.fetch: `nimakit fetch`."""

from pathlib import Path

import pytest

from nimakit.models import pretrained
from terminal import Command


@pytest.fixture
def sham(empty_cache: Path) -> list[Path]:
    """Files in the cache in place of both backbones' weights."""
    empty_cache.mkdir()
    files = []
    for name in ("efficientnet-lite0", "efficientnet-lite2"):
        public = pretrained.PUBLIC[name]
        files.append(empty_cache / f"{name}-{public.sha256[:16]}{Path(public.member).suffix}")
        files[-1].touch()
    return files


def test_prints_a_path_for_each_name(nimakit: Command, sham: list[Path]) -> None:
    """Each name gives a line, in order."""
    result = nimakit("fetch", "efficientnet-lite2", "efficientnet-lite0")
    assert (result.code, result.out) == (0, f"{sham[1]}\n{sham[0]}\n")


def test_rejects_a_name_no_public_weights_have(nimakit: Command, empty_cache: Path) -> None:
    """The message lists the public names."""
    result = nimakit("fetch", "beauty")
    assert result.code == 1
    assert f"Public weights are {', '.join(pretrained.PUBLIC)}. Received: beauty" in result.err
