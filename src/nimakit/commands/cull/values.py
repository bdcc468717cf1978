"""Values of the options of `nimakit cull`."""

from typing import TYPE_CHECKING, Any

import click

from nimakit.io.tables import number

if TYPE_CHECKING:
    from nimakit.culling.selection import Keep

ALL_STARS = "5,15,30,30,20"
"""Shares where --stars has no value."""


class KeepAmount(click.ParamType["Keep"]):
    """How many photos to keep: ``40``, or ``10%`` of all."""

    name = "keep"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Keep":
        """Convert to a number or a share."""
        from nimakit.culling.selection import Keep

        text = str(value).strip()
        try:
            if text.endswith("%") and 0 < number(text[:-1]) <= 100:
                return Keep(share=number(text[:-1]) / 100)
            if int(text) > 0:
                return Keep(count=int(text))
        except (ValueError, OverflowError):
            pass
        return self.fail(
            f"it must be a number of photos such as 40, or a share such as 10%. Received: {value}", param, ctx
        )


class StarShares(click.ParamType[tuple[float, ...]]):
    """Percentages of photos with five stars down to one: ``5,15,30,30,20``."""

    name = "shares"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Convert to five numbers that add up to 100."""
        try:
            shares = tuple(number(text) for text in str(value).split(","))
        except (ValueError, OverflowError):
            shares = ()
        if len(shares) != 5 or min(shares) < 0 or abs(sum(shares) - 100) > 1e-6:
            self.fail(
                f"shares must be five percentages, for five stars down to one, that add up to 100, such as"
                f" {ALL_STARS}. Received: {value}",
                param,
                ctx,
            )
        return shares
