"""The form of the page Checks."""

from typing import Any

from flask_wtf import FlaskForm  # type: ignore[import-untyped]
from wtforms import BooleanField, FloatField, IntegerField  # type: ignore[import-untyped]
from wtforms.validators import InputRequired, NumberRange, Optional  # type: ignore[import-untyped]

from nimakit.web.db.tables import Checks
from nimakit.web.rating.checks import DEFAULTS

_CENT = 100


class ChecksForm(FlaskForm):  # type: ignore[misc]
    """Which checks raters are shown, and the rule for excluding raters."""

    gold_every = IntegerField(
        "Pictures from one gold picture to the next",
        [InputRequired(), NumberRange(1, 1000)],
        description="Closer together for raters who would not see all of them.",
    )
    attention_every = IntegerField(
        "Pictures from one attention check to the next",
        [Optional(), NumberRange(1, 1000)],
        description="Leave blank for no attention checks.",
    )
    excludes = BooleanField(
        "Exclude raters who break a rule",
        description="Their ratings are kept, and count again once they are included.",
    )
    gold_misses = IntegerField("Gold pictures missed", [Optional(), NumberRange(1, 1000)])
    attention_misses = IntegerField("Attention checks missed", [Optional(), NumberRange(1, 1000)])
    same_share = IntegerField(
        "Same answer (%)",
        [Optional(), NumberRange(50, 100)],
        description="Of 20 or more answers.",
    )
    fast_ms = IntegerField(
        "Too fast (ms)",
        [Optional(), NumberRange(50, 60_000)],
        description="Half of 20 or more answers take less, from when the picture was drawn.",
    )
    repeat_points = FloatField(
        "Shown again (points)",
        [Optional(), NumberRange(0.1, 10)],
        description="Mean difference of 5 or more second ratings from the first.",
    )
    by_agreement = BooleanField(
        "Answers that agree with those of others no better than chance",
        description="Counting checks as well; of 20 or more.",
    )

    def process(self, formdata: Any = None, obj: Any = None, **kwargs: Any) -> None:
        """Fill the fields from the request, or else from the checks of a collection."""
        super().process(formdata, obj, **kwargs)
        if obj is not None and not self.is_submitted() and obj.same_share is not None:
            self.same_share.data = round(obj.same_share * _CENT)

    def store(self, checks: Checks) -> None:
        """Change the checks of a collection."""
        for name in DEFAULTS:
            setattr(checks, name, self[name].data)
        if checks.same_share is not None:
            checks.same_share /= _CENT
