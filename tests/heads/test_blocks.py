"""nimakit.heads.blocks: encoders that one image serves."""

from pathlib import Path
from typing import Any

import onnx
import pytest

from nimakit.config import HeadConfig, parse_head_config
from nimakit.errors import ConfigError, ModelError
from nimakit.heads.blocks import check_encoders, load_blocks
from nimakit.models.metadata import METADATA_KEY
from small_encoders import encoder_metadata, write_encoder


def _config(*encoders: tuple[Path | str, list[int] | None], **changes: Any) -> HeadConfig:
    values = [{"name": str(name), "input_size": size} for name, size in encoders]
    return parse_head_config({"head_only": True, "encoders": values, **changes}, "a config")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that takes any size."""
    return write_encoder(tmp_path_factory.mktemp("encoder") / "e.onnx")


def test_all_take_the_largest_height_and_width(file: Path) -> None:
    """Each sees its own size, made from one image."""
    blocks = load_blocks(_config((file, None), (file, [40, 32]), (file, [32, 48])))
    assert [block.input_size for block in blocks] == [(16, 16), (40, 32), (32, 48)]
    assert {(b.preprocessing.height, b.preprocessing.width) for b in blocks} == {(40, 48)}


def test_a_filter_in_the_config_is_that_of_all(file: Path, tmp_path: Path) -> None:
    """Without one, encoders of different filters are refused."""
    other = write_encoder(tmp_path / "other.onnx", seed=1)
    blocks = load_blocks(_config((file, None), (other, None), resize_filter="bicubic", fit="crop"))
    assert {(b.preprocessing.resize_filter, b.preprocessing.fit) for b in blocks} == {("bicubic", "crop")}


def test_refuses_encoders_of_different_filters(file: Path, tmp_path: Path) -> None:
    """The error says which has which, and how to set one."""
    other = onnx.load(write_encoder(tmp_path / "other.onnx"))
    metadata = encoder_metadata().changed({"resize_filter": "nearest"})
    onnx.helper.set_model_props(other, {METADATA_KEY: metadata.to_json()})
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(ConfigError, match=r"same resize_filter.*bilinear.*nearest; set 'resize_filter'"):
        load_blocks(_config((file, None), (tmp_path / "other.onnx", None)))


def test_refuses_a_repetition(file: Path) -> None:
    """An encoder at one size gives the same features twice."""
    with pytest.raises(ConfigError, match="occur once at each size"):
        check_encoders(_config((file, [32, 32]), (file, [32, 32])))


def test_refuses_a_file_that_is_missing(tmp_path: Path) -> None:
    """Also next to public encoders, which are not loaded for the check."""
    with pytest.raises(ModelError, match=r"none\.onnx"):
        check_encoders(_config(("efficientnet-lite0", None), (tmp_path / "none.onnx", None)))
