"""Fields of forms for numbers from a range; a field that is cleared has none."""

from collections.abc import Sequence
from typing import Any

from wtforms import IntegerField  # type: ignore[import-untyped]
from wtforms.widgets import NumberInput  # type: ignore[import-untyped]

_CENT = 100
_LONGEST_SHOWN = 40


class WholeNumber(IntegerField):  # type: ignore[misc]
    """A field for a whole number from a range, or none.

    Args:
        label: Name of the setting.
        low: The smallest number.
        high: The largest.
        description: What it means.
        is_needed: Whether it cannot be left blank.
    """

    _kind = "a whole number"
    _number: type[int] | type[float] = int

    def __init__(
        self,
        label: str,
        low: float,
        high: float,
        description: str = "",
        *,
        is_needed: bool = False,
        **rest: Any,
    ) -> None:
        super().__init__(label, description=description, **rest)
        self.flags.min, self.flags.max, self.flags.required = low, high, is_needed
        self._low, self._high, self._is_needed = low, high, is_needed

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        """Read the number; a form without the field leaves it as it is.

        Raises:
            ValueError: It breaks the rule; the message is for the form.
        """
        if not valuelist:
            return
        text, self.data = valuelist[0].strip(), None
        if not text and not self._is_needed:
            return
        try:
            number = self._number(text.replace("_", " "))  # which Python allows between digits
        except ValueError:
            number = None
        if number is None or not self._low <= number <= self._high:
            raise ValueError(
                f"{self.label.text} must be {self._kind} from {self._low:,} to {self._high:,}"
                f"{'' if self._is_needed else ', or blank'}. Received: {text[:_LONGEST_SHOWN] or 'nothing'}"
            )
        self.data = number


class Number(WholeNumber):
    """The same for a number with decimals."""

    _kind, _number = "a number", float
    widget = NumberInput(step="any")


class Percentage(WholeNumber):
    """A share from 0 to 1, shown and entered in per cent."""

    def process_data(self, value: float | None) -> None:
        """Show a share."""
        self.data = None if value is None else round(_CENT * value)

    @property
    def share(self) -> float | None:
        """The share."""
        return None if self.data is None else self.data / _CENT
