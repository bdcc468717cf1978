"""The form of the page Checks."""

from flask_wtf import FlaskForm  # type: ignore[import-untyped]
from wtforms import BooleanField  # type: ignore[import-untyped]

from nimakit.stats.careless import MIN_ANSWERS
from nimakit.web.db.tables import Checks
from nimakit.web.number_fields import Number, Percentage, WholeNumber
from nimakit.web.rating.checks import DEFAULTS
from nimakit.web.study.exclusion import MIN_REPEATS


class ChecksForm(FlaskForm):  # type: ignore[misc]
    """Which checks raters are shown, and the rule for excluding raters."""

    gold_every = WholeNumber(
        "Pictures from one gold picture to the next",
        1,
        1000,
        is_needed=True,
        description="More frequent for raters who would otherwise not see all of them.",
    )
    attention_every = WholeNumber(
        "Pictures from one attention check to the next",
        1,
        1000,
        description="Leave blank for no attention checks.",
    )
    excludes = BooleanField(
        "Exclude raters who break a rule",
        description="Their ratings are kept, and count again once they are included.",
    )
    gold_misses = WholeNumber(
        "Gold pictures missed",
        1,
        1000,
        description=(
            "And half of those shown. Pictures that more than a tenth of the raters who agree with the others"
            " miss do not count."
        ),
    )
    attention_misses = WholeNumber(
        "Attention checks missed",
        1,
        1000,
        description="Counts only if it is at least half of those shown.",
    )
    same_share = Percentage(
        "Same answer (%)",
        50,
        100,
        description=f"Of {MIN_ANSWERS} or more answers.",
    )
    fast_ms = WholeNumber(
        "Too fast (ms)",
        50,
        60_000,
        description=f"Half of {MIN_ANSWERS} or more answers take less, from when the picture was drawn.",
    )
    repeat_points = Number(
        "Shown again (points)",
        0.1,
        10,
        description=f"Mean difference of {MIN_REPEATS} or more second ratings from the first.",
    )
    by_agreement = BooleanField(
        "Answers that agree with those of others no better than chance",
        description=(
            f"Of {MIN_ANSWERS} or more answers; gold pictures and attention checks count as well. A set of"
            " five with its best and worst counts as four."
        ),
    )

    def store(self, checks: Checks) -> None:
        """Change the checks of a collection."""
        for name in DEFAULTS:
            setattr(checks, name, self[name].data)
        checks.same_share = self.same_share.share
