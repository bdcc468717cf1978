"""nimakit.models.metadata: metadata in a model file."""

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from generated import NUMBERS, TEXTS, amounts, json_texts, objects, tried
from nimakit.errors import ModelError
from nimakit.models.metadata import Metadata
from samples import metadata


def test_survives_the_way_into_the_file_and_back() -> None:
    """Reading returns what was written."""
    about = metadata(bins=(1, 2.5, 7), fit="pad", resize_filter="lanczos", quantiles=(1.0, 1.0, 2.0))
    assert Metadata.from_json(about.to_json()) == about


def test_scaled_decoding_is_version_2_of_the_file_and_nothing_else_is() -> None:
    """Earlier versions of nimakit must refuse what they would decode otherwise, and read all other files."""
    scaled = metadata(resize_filter="bilinear", decode="scaled")
    assert Metadata.from_json(scaled.to_json()) == scaled
    written = json.loads(scaled.to_json())
    assert (written["format_version"], written["decode"]) == (2, "scaled")
    whole = json.loads(metadata(resize_filter="bilinear").to_json())
    assert whole["format_version"] == 1
    assert "decode" not in whole
    for values in (written | {"decode": "full"}, whole | {"format_version": 2}):
        assert Metadata.from_json(json.dumps(values)).preprocessing.decode == "full"
    with pytest.raises(ModelError, match="must have the format version 2"):
        Metadata.from_json(json.dumps(written | {"format_version": 1}))


def test_rejects_scaled_decoding_with_nearest_neighbour() -> None:
    """This filter picks single pixels of the whole picture."""
    with pytest.raises(ModelError, match="'decode' must be \"full\" with the 'resize_filter' nearest"):
        Metadata.from_dict(metadata().to_dict() | {"decode": "scaled"})


def test_fills_in_what_may_be_left_out() -> None:
    """The data, the licence and the reference are optional."""
    values = metadata().to_dict()
    for key in ("trained_on", "licence", "reference", "reference_quantiles", "decode"):
        del values[key]
    about = Metadata.from_dict(values)
    assert (about.trained_on, about.licence, about.reference_quantiles) == ("unknown", "unknown", ())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", ""),
        ("base_model", 3),
        ("bins", [1]),
        ("bins", [2, 1]),
        ("bins", [1, 1]),
        ("bins", [1, "2"]),
        ("bins", [1, 10**400]),
        ("bins", [-1e308, 1e308]),
        ("bins", [0, 5e-324]),
        ("reference_quantiles", [0, 1e308]),
        ("input_size", [224]),
        ("input_size", [0, 224]),
        ("input_size", [224, 100_000]),
        ("resize_filter", "smooth"),
        ("fit", "stretch"),
        ("decode", "half"),
        ("licence", None),
        ("reference_quantiles", [3, 2]),
        ("reference_quantiles", [3]),
    ],
)
def test_rejects_a_broken_field_by_name(key: str, value: Any) -> None:
    """A bad value is refused with the name of its key."""
    with pytest.raises(ModelError, match=f"'{key}' must be"):
        Metadata.from_dict({**metadata().to_dict(), key: value})


def test_rejects_all_broken_fields_together() -> None:
    """One message names the missing, the wrong and the unknown key."""
    values = metadata().to_dict()
    del values["bins"]
    with pytest.raises(ModelError, match=r"'bins' is missing.*'fit' must be.*'fitt' is unknown.*'fit'"):
        Metadata.from_dict({**values, "fit": 1, "fitt": "pad"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be JSON"),
        ("[]", "must be a JSON object"),
        (100_000 * "[", "must be JSON"),
        (5000 * "1", "must be JSON"),
        ("{}", "format versions 1 and 2. Received: null"),
        ('{"format_version": 3}', "Received: 3; install the nimakit that wrote"),
    ],
)
def test_rejects_other_text(text: str, message: str) -> None:
    """Other content is refused with the reason."""
    with pytest.raises(ModelError, match=message):
        Metadata.from_json(text)


def test_keeps_names_readable_in_the_file() -> None:
    """Names outside ASCII are stored as they are."""
    assert "Käthe" in metadata(name="Käthe").to_json()
    assert json.loads(metadata(name="Käthe").to_json())["format_version"] == 1


@amounts
def test_any_text_is_metadata_or_refused(amount: int) -> None:
    """Absurdly deep, long or large values among them."""
    numbers = st.one_of(st.integers(1, 9), NUMBERS)
    fields = objects(
        format_version=st.just(1),
        name=TEXTS,
        base_model=st.just("MobileNet"),
        bins=st.lists(numbers, max_size=3),
        input_size=st.lists(st.one_of(st.just(8), numbers), min_size=2, max_size=2),
        resize_filter=st.just("nearest"),
        fit=st.just("squash"),
        reference_quantiles=st.lists(numbers, max_size=3),
    )

    def check(text: str) -> None:
        about = Metadata.from_json(text)
        assert Metadata.from_json(about.to_json()) == about

    tried(amount, json_texts(fields), check, ModelError)


@pytest.mark.parametrize("depth", range(100, 1100, 10))
def test_lists_in_lists_are_refused_however_deep(depth: int) -> None:
    """A value that can barely be parsed may be too deep to be shown in the message."""
    values = metadata().to_dict() | {"format_version": 1, "fit": "DEEP"}
    text = json.dumps(values).replace('"DEEP"', depth * "[" + depth * "]")
    with pytest.raises(ModelError, match="must be"):
        Metadata.from_json(text)
