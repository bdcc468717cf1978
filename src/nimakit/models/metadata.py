"""Metadata of a model file: the JSON value under the key ``nimakit`` of an .onnx file."""

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from nimakit.errors import ModelError, first_line
from nimakit.images.photo import DECODES, FITS, RESIZE_FILTERS, SCALED_NEAREST, Preprocessing
from nimakit.io.rules import Rule, broken_rules, described, is_integer, is_number, is_one_of, is_text

METADATA_KEY = "nimakit"
FORMAT_VERSION = 1
"""Version of a model file, which every nimakit reads, unless it needs more."""
SCALED_VERSION = 2
"""Version of a model file with scaled decoding."""

_LARGEST = 1e6
_MIN_STEP = 1e-6
"""Bounds of a scale, and least distance of bins: computed values stay far from the limits of floats."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """Everything besides the graph that is needed to score with a model.

    Attributes:
        name: Display name.
        base_model: Backbone, as keras.applications names it.
        bins: Value of each bin of the output histogram, ascending; the two ends of the rating scale for a
            regression head; empty for an encoder, which rates nothing.
        preprocessing: How an image becomes the model's input.
        trained_on: The training data.
        licence: SPDX identifier of the weights' licence.
        reference_quantiles: Evenly spaced quantiles, ascending, of the mean scores among which a score is
            ranked; empty if there are none.
        reference: Source of those mean scores.
    """

    name: str
    base_model: str
    bins: tuple[float, ...]
    preprocessing: Preprocessing
    trained_on: str = "unknown"
    licence: str = "unknown"
    reference_quantiles: tuple[float, ...] = ()
    reference: str = ""

    def to_json(self) -> str:
        """The value stored in the model file, in the oldest version that can express it."""
        values = self.to_dict()
        version = SCALED_VERSION if values["decode"] == "scaled" else FORMAT_VERSION
        if version == FORMAT_VERSION:
            del values["decode"]
        return json.dumps({"format_version": version, **values}, ensure_ascii=False)

    def to_dict(self) -> dict[str, Any]:
        """The fields, with preprocessing flattened, as plain JSON values."""
        values = asdict(self)
        prepared = values.pop("preprocessing")
        return {
            **values,
            "bins": list(self.bins),
            "reference_quantiles": list(self.reference_quantiles),
            "input_size": [prepared["height"], prepared["width"]],
            "resize_filter": prepared["resize_filter"],
            "fit": prepared["fit"],
            "decode": prepared["decode"],
        }

    def changed(self, changes: dict[str, Any]) -> "Metadata":
        """The same metadata with other values of some fields.

        Args:
            changes: Field -> value, as `to_dict` gives them.

        Raises:
            ModelError: Broken rules, all of them listed.
        """
        return self.from_dict({**self.to_dict(), **changes})

    @classmethod
    def from_json(cls, text: str) -> "Metadata":
        """Parse and check the output of `to_json`.

        Raises:
            ModelError: Not JSON, another format version, or broken rules (all of them listed).
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:  # not JSON, or absurdly long or deep
            raise ModelError(f"Model metadata must be JSON. Received: {first_line(error)}") from error
        if not isinstance(values, dict):
            raise ModelError("Model metadata must be a JSON object.")
        version = values.pop("format_version", None)
        if version not in (FORMAT_VERSION, SCALED_VERSION):
            raise ModelError(
                f"This nimakit reads model format versions {FORMAT_VERSION} and {SCALED_VERSION}."
                f" Received: {described(version)}; install the nimakit that wrote the model, or export it"
                " again."
            )
        if version == FORMAT_VERSION and values.get("decode") == "scaled":
            raise ModelError(
                f"Model metadata whose 'decode' is \"scaled\" must have the format version {SCALED_VERSION},"
                f" which earlier versions of nimakit refuse. Received: {described(version)}"
            )
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Metadata":
        """Build from plain JSON values, as from `to_dict`.

        Raises:
            ModelError: Broken rules, all of them listed.
        """
        broken = broken_rules(values, _RULES)
        if values.get("decode") == "scaled" and values.get("resize_filter") == "nearest":
            broken.append(SCALED_NEAREST)
        if broken:
            raise ModelError("Model metadata breaks a rule: " + "; ".join(broken))
        height, width = values["input_size"]
        return cls(
            name=values["name"],
            base_model=values["base_model"],
            bins=tuple(float(b) for b in values["bins"]),
            preprocessing=Preprocessing(
                height=height,
                width=width,
                resize_filter=values["resize_filter"],
                fit=values["fit"],
                decode=values.get("decode", "full"),
            ),
            trained_on=values.get("trained_on", "unknown"),
            licence=values.get("licence", "unknown"),
            reference_quantiles=tuple(float(q) for q in values.get("reference_quantiles", ())),
            reference=values.get("reference", ""),
        )


def _is_ascending(values: Any, *, distance: float = 0.0) -> bool:
    number = is_number(-_LARGEST, _LARGEST)
    return (
        isinstance(values, list)
        and len(values) >= 2
        and all(map(number, values))
        and all(high - low >= distance for low, high in pairwise(values))
    )


def _is_size(value: Any) -> bool:
    side = is_integer(1, 8192)
    return isinstance(value, list) and len(value) == 2 and all(map(side, value))


_TEXT = Rule(lambda value: isinstance(value, str), "text")
_RULES = {
    "name": Rule(is_text, "text", required=True),
    "base_model": Rule(is_text, "text", required=True),
    "bins": Rule(
        lambda value: value == [] or _is_ascending(value, distance=_MIN_STEP),
        f"2 or more ascending numbers from {-_LARGEST:,.0f} to {_LARGEST:,.0f}, {_MIN_STEP:g} or more apart;"
        " or empty for an encoder",
        required=True,
    ),
    "input_size": Rule(_is_size, "[height, width], 1 to 8192 each", required=True),
    "resize_filter": Rule(is_one_of(*RESIZE_FILTERS), "one of " + ", ".join(RESIZE_FILTERS), required=True),
    "fit": Rule(is_one_of(*FITS), "one of " + ", ".join(FITS), required=True),
    "decode": Rule(is_one_of(*DECODES), "one of " + ", ".join(DECODES)),
    "trained_on": _TEXT,
    "licence": _TEXT,
    "reference": _TEXT,
    "reference_quantiles": Rule(
        lambda value: value == [] or _is_ascending(value),
        f"empty, or 2 or more numbers from {-_LARGEST:,.0f} to {_LARGEST:,.0f} in ascending order",
    ),
}
