"""What a model file says of its errors, from which scores get intervals."""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nimakit.errors import ModelError, UsageError, first_line
from nimakit.io.atomic import atomic_bytes
from nimakit.io.rules import Rule, broken_rules, is_number, is_text
from nimakit.stats import conformal
from nimakit.stats.histogram import FloatArray

INTERVALS_KEY = "nimakit.intervals"
"""Key in the metadata of an .onnx file, apart from `Metadata`: versions that do not know it ignore it."""
_DIGITS = 6
_LARGEST = 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownErrors:
    """Errors of a model on images that it did not learn from.

    Attributes:
        errors: Absolute errors of mean scores, ascending, from `nimakit.stats.conformal.kept_errors`.
        basis: The images, in words.
    """

    errors: tuple[float, ...]
    basis: str

    @classmethod
    def of(cls, predicted: FloatArray, real: FloatArray, basis: str) -> "KnownErrors":
        """From (N,) predictions and mean ratings, at least one."""
        kept = conformal.kept_errors(predicted - real)
        rounded_up = np.ceil(kept * 10**_DIGITS) / 10**_DIGITS
        return cls(errors=tuple(rounded_up.round(_DIGITS).tolist()), basis=basis)

    def half_width(self, coverage: float, name: str) -> float:
        """Half of the width of an interval that contains the mean rating with a probability.

        Args:
            coverage: The probability, above 0 and below 1.
            name: The model, for the message.

        Raises:
            UsageError: There are too few errors for that coverage.
        """
        found = conformal.half_width(self.errors, coverage)
        if found is None:
            count = len(self.errors)
            raise UsageError(
                f"A coverage must be {count / (count + 1):.3f} or less, because {name} has the errors of"
                f" {count} images. Received: {coverage:g}"
            )
        return found

    def to_json(self) -> str:
        """The value stored in a model file."""
        return json.dumps({"errors": list(self.errors), "basis": self.basis}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "KnownErrors":
        """Parse and check the output of `to_json`.

        Raises:
            ModelError: Not JSON, or broken rules (all of them listed).
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{INTERVALS_KEY} must be JSON. Received: {first_line(error)}") from error
        if not isinstance(values, dict):
            raise ModelError(f"{INTERVALS_KEY} must be a JSON object.")
        broken = broken_rules(values, _RULES)
        if broken:
            raise ModelError(f"{INTERVALS_KEY} breaks a rule: {'; '.join(broken)}")
        return cls(errors=tuple(float(error) for error in values["errors"]), basis=values["basis"])


def write(file: Path, known_errors: KnownErrors) -> None:
    """Store the errors of a model in its file, which appears whole or not at all."""
    import onnx

    model = onnx.load(file)
    kept = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**kept, INTERVALS_KEY: known_errors.to_json()})
    atomic_bytes(model.SerializeToString(), file)


def _are_errors(values: Any) -> bool:
    number = is_number(0, _LARGEST)
    return (
        isinstance(values, list)
        and 1 <= len(values) <= conformal.MOST
        and all(map(number, values))
        and all(low <= high for low, high in pairwise(values))
    )


_RULES = {
    "errors": Rule(_are_errors, f"1 to {conformal.MOST} ascending numbers, 0 or more", required=True),
    "basis": Rule(is_text, "text", required=True),
}
