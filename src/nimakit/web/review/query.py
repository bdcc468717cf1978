"""Filters, sort order and paging of the lists of pictures and of comparisons."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, SQLColumnExpression, and_, or_

from nimakit.web.db.tables import Rater

_MAX_NUMBER = 1e12
_ASCENDING = {"name", "rater"}
"""Sort keys whose default order is ascending."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What an address asks a list for.

    Attributes:
        sort: One of `sorts`.
        is_up: Whether to sort in ascending order.
        show: One of `shown`.
        text: Part of a picture's name.
        whose: Pseudonym of a rater; empty for all that the visitor may see.
        low: Lowest rating; None for no limit.
        high: Highest rating; None for no limit.
        last: Sort key and id of the last row of the previous page; None for the first page.
        sorts: Sort keys that the visitor may use, with their labels.
        shown: Filters that the visitor may use, with their labels.
        sees_names: Whether the visitor may see and search the names of pictures.
    """

    sort: str
    is_up: bool
    show: str
    text: str
    whose: str
    low: float | None
    high: float | None
    last: tuple[str, int] | None
    sorts: Mapping[str, str]
    shown: Mapping[str, str]
    sees_names: bool

    @classmethod
    def parse(
        cls,
        given: Mapping[str, str],
        rater: Rater,
        sorts: Mapping[str, str],
        shown: Mapping[str, str],
        *,
        sees_names: bool,
    ) -> "Query":
        """Parse the parameters of an address; invalid ones get their defaults.

        Args:
            given: The parameters.
            rater: The visitor.
            sorts: As the attribute; the first is the default.
            shown: Likewise.
            sees_names: As the attribute.
        """
        sort, show = given.get("sort", ""), given.get("show", "")
        sort = sort if sort in sorts else next(iter(sorts), "name")
        key, _, row = given.get("last", "").rpartition("~")
        return cls(
            sort=sort,
            is_up=given.get("up", "1" if sort in _ASCENDING else "") == "1",
            show=show if show in shown else next(iter(shown)),
            text=given.get("text", "").strip()[:100] if sees_names else "",
            whose=given.get("whose", "")[:64] if rater.is_admin else "",
            low=_number_or_none(given.get("low", "")),
            high=_number_or_none(given.get("high", "")),
            last=(key, int(row)) if row.isdecimal() and len(row) < 19 else None,
            sorts=sorts,
            shown=shown,
            sees_names=sees_names,
        )

    def after(self, key: Any, row: int) -> "Query":
        """The query of the page that follows a row with this sort key and id."""
        text = key.isoformat() if isinstance(key, datetime) else str(key)
        return replace(self, last=(text, row))

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the query's address."""
        found = {
            "sort": self.sort,
            "up": "1" if self.is_up else "0",
            "show": self.show,
            "text": self.text,
            "whose": self.whose,
            "low": "" if self.low is None else f"{self.low:g}",
            "high": "" if self.high is None else f"{self.high:g}",
            "last": f"{self.last[0]}~{self.last[1]}" if self.last else "",
        }
        return {name: value for name, value in found.items() if value}

    @property
    def of_list(self) -> dict[str, str]:
        """The parameters without the place in the list."""
        return replace(self, last=None).parameters

    def before(self) -> "Query":
        """The query of the rows before `last`, in reverse order; their ids have to be reversed too."""
        return replace(self, is_up=not self.is_up)

    def page(
        self,
        rows: Select[*tuple[Any, ...]],
        key: SQLColumnExpression[Any],
        row: SQLColumnExpression[int],
        count: int,
        *,
        parse_key: Callable[[str], Any],
        newest_first: bool = False,
    ) -> Select[*tuple[Any, ...]]:
        """Sort rows, and limit them to one page, by keyset pagination.

        Args:
            rows: All rows.
            key: The sort key, never null.
            row: An id, which orders rows with equal keys.
            count: Rows per page.
            parse_key: Parses a key from an address; where it raises ValueError or OverflowError, the first
                page is selected.
            newest_first: Whether higher ids come first.
        """
        if self.last is not None:
            with suppress(ValueError, OverflowError):  # the latter for a time before the year 1 or after 9999
                last_key = parse_key(self.last[0])
                beyond = key > last_key if self.is_up else key < last_key
                further = row < self.last[1] if newest_first else row > self.last[1]
                rows = rows.where(or_(beyond, and_(key == last_key, further)))
        order = (key.asc() if self.is_up else key.desc(), row.desc() if newest_first else row.asc())
        return rows.order_by(*order).limit(count)


def parse_number(text: str) -> float:
    """A number that a database can compare.

    Raises:
        ValueError: It is not a number, or too large.
    """
    value = float(text)
    if not abs(value) < _MAX_NUMBER:  # also refuses NaN
        raise ValueError(f"a number must be below {_MAX_NUMBER:g}; received {text!r}")
    return value


def _number_or_none(text: str) -> float | None:
    try:
        return parse_number(text)
    except ValueError:
        return None
