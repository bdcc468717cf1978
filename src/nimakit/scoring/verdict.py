"""What a comparison says, in sentences."""

from nimakit.scoring.comparison import Comparison, Row

_NEARLY = 0.98
"""Share of the ceiling from which better models cannot be told apart."""


def in_short(found: Comparison) -> list[str]:
    """Which candidate is best, by how much, whether the difference is clear, and how much is left to gain."""
    best = next(row for row in found.rows if row.name == found.best)
    others = [row for row in found.rows if row is not best and row.figures["srcc"].is_defined]
    others.sort(key=lambda row: -row.figures["srcc"].value)
    sentences = [_on_best(best, found)]
    if others:
        sentences += _on_others(best, others)
    return [*sentences, *on_ceiling(best, found)]


def is_clear(row: Row) -> bool:
    """Whether a candidate is behind the reference: the interval of the difference in SRCC excludes 0."""
    return row.differences["srcc"].high < 0


def has_reached(row: Row, found: Comparison) -> bool:
    """Whether a candidate is so near the ceiling that these ratings cannot show a better one."""
    reached = row.figures["lcc"]
    return found.ceiling is not None and reached.is_defined and reached.value >= _NEARLY * found.ceiling


def on_ceiling(row: Row, found: Comparison) -> list[str]:
    """How far a candidate is from a perfect model; nothing if that is unknown."""
    if found.ceiling is None or not row.figures["lcc"].is_defined:
        return []
    sentence = (
        f"Its PLCC is {row.figures['lcc'].value:.3f}. A perfect model would reach {found.ceiling:.3f}: the"
        " mean ratings are partly chance."
    )
    if has_reached(row, found):
        return [sentence + " Only more ratings of each image could show a better model."]
    return [sentence]


def _on_best(best: Row, found: Comparison) -> str:
    srcc = best.figures["srcc"]
    if not srcc.is_defined:
        return "No candidate has an SRCC, because all predictions of each, or all ratings, are equal."
    only = len(found.rows) == 1
    return (
        f"{best.name} {'has' if only else 'is the best, with'} an SRCC of {srcc.value:.3f}"
        f" [{srcc.low:.3f}, {srcc.high:.3f}] on {found.images:,} images."
    )


def _on_others(best: Row, others: list[Row]) -> list[str]:
    """Whether the lead over the next is clear, and which others are not clearly behind."""
    following, *further = others
    gap = following.differences["srcc"]
    lead = f"{-gap.value:.3f} [{-gap.high:.3f}, {-gap.low:.3f}]"
    if is_clear(following):
        sentences = [f"It leads {following.name} by {lead}: the difference is clear."]
    else:
        sentences = [f"Its lead over {following.name}, {lead}, is not clear: it may be chance."]
    near = [row for row in further if not is_clear(row)]
    if near:
        sentences.append(f"Nor is {_listed([row.name for row in near])} clearly behind.")
    behind = [row for row in further if is_clear(row)]
    if behind:
        sentences.append(f"Clearly behind: {', '.join(row.name for row in behind)}.")
    return sentences + _on_cost(best, [row for row in others if not is_clear(row)])


def _on_cost(best: Row, near: list[Row]) -> list[str]:
    """The cheapest candidate that is not clearly worse, if it takes at most half the time."""
    known = [(row.cost.total, row) for row in near if row.cost]
    if not best.cost or not known:
        return []
    seconds, cheapest = min(known, key=lambda pair: pair[0])
    if seconds > best.cost.total / 2:
        return []
    return [
        f"{cheapest.name} takes {1000 * seconds:.0f} ms an image instead of {1000 * best.cost.total:.0f} ms,"
        " and is not clearly worse."
    ]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
