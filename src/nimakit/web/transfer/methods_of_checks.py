"""How raters were checked and excluded, in sentences for a paper."""

from collections.abc import Iterator

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from nimakit.stats.careless import MIN_ANSWERS
from nimakit.web.db.queries import is_given
from nimakit.web.db.tables import (
    BY_OWNER,
    FIRST,
    Attention,
    Checks,
    Choice,
    Collection,
    Exclusion,
    Gold,
    Membership,
)
from nimakit.web.rating.checks import checks_of, plan_of
from nimakit.web.study.exclusion import MIN_REPEATS
from nimakit.wording import listed, many


def on_checks(session: Session, collection: Collection) -> Iterator[str]:
    """Sentences on gold pictures and attention checks, if there are any.

    Args:
        session: From `Database.read`.
        collection: The collection.
    """
    if not collection.may_have_checks:
        return
    plan = plan_of(session, collection)
    if plan.gold:
        yield from _on_gold(session, collection, plan.gold_every, len(plan.gold))
    noun = "comparison" if collection.compares else "photograph"
    if plan.attention_every is not None:
        asked = "choice" if collection.compares else "rating"
        yield (
            f"After every {many(plan.attention_every, noun)}, an attention check asked for a certain {asked}"
            " in place of the question; the answers to it are not part of the data."
        )
    passed, made = session.execute(
        select(func.sum(case((Attention.passed, 1), else_=0)), func.count()).where(
            Attention.collection_id == collection.id
        )
    ).one()
    if made:
        yield f"Raters passed {passed:,} of {many(made, 'attention check')} in all."


def _on_gold(session: Session, collection: Collection, every: int, count: int) -> Iterator[str]:
    own = (Gold.collection_id == collection.id, Gold.worse_id.is_not(None) == collection.compares)
    by_owner = session.scalar(select(func.count()).where(*own, Gold.source == BY_OWNER)) or 0
    sources = [(by_owner, "by the researchers"), (count - by_owner, "by the agreement of raters")]
    said = [text if number == count else f"{number:,} {text}" for number, text in sources if number]
    noun, answer = ("comparison", "outcome") if collection.compares else ("photograph", "rating")
    yield (
        f"Among the {noun}s, at most {every:,} apart, each rater was shown {many(count, f'gold {noun}')},"
        f" whose right {answer}{' was' if count == 1 else 's were'} known (set {listed(said)})."
    )


def on_exclusion(session: Session, collection: Collection) -> Iterator[str]:
    """Sentences on the rule for excluding raters, and on how many were excluded.

    Args:
        session: From `Database.read`.
        collection: The collection.
    """
    checks = checks_of(session, collection)
    rules = [*_rules(session, collection, checks)] if collection.may_have_checks and checks.excludes else []
    if rules:
        yield f"Raters were excluded if they {listed(rules, 'or')}."
    sentences = [*_on_excluded(session, collection)]
    yield from sentences or (["No rater was excluded."] if rules else [])


def _rules(session: Session, collection: Collection, checks: Checks) -> Iterator[str]:
    """What excludes a rater, as far as it can happen with the checks and repeats of the collection."""
    gold = plan_of(session, collection).gold
    if checks.gold_misses is not None and gold:
        noun = "comparisons" if collection.compares else "photographs"
        yield (
            f"missed {checks.gold_misses} or more and at least half of the gold {noun}, without those that"
            " more than a tenth of 20 or more raters who agreed with the others missed"
        )
    if checks.attention_misses is not None and checks.attention_every is not None:
        yield f"missed {checks.attention_misses} or more and at least half of the attention checks"
    if checks.same_share is not None:
        same = "chose the same place" if collection.compares else "gave the same rating"
        yield f"{same} in {100 * checks.same_share:.0f} % or more of at least {MIN_ANSWERS} answers"
    if checks.fast_ms is not None:
        yield f"gave half or more of at least {MIN_ANSWERS} answers in less than {checks.fast_ms:,} ms"
    if checks.repeat_points is not None and collection.repeats and not collection.compares:
        yield (
            f"rated at least {MIN_REPEATS} photographs that were shown again {checks.repeat_points:g} or more"
            " points apart on average"
        )
    if checks.by_agreement:
        is_checked = gold or checks.attention_every is not None
        noun = "independent differences" if collection.compares else "ratings"
        yield (
            "agreed with the others no better than chance, according to the likelihood ratio of careful to"
            f" random answering ({'checks included; ' if is_checked else ''}at least {MIN_ANSWERS} {noun})"
        )


def _on_excluded(session: Session, collection: Collection) -> Iterator[str]:
    table = collection.response_table
    noun = "comparison" if table is Choice else "rating"
    answers = dict(
        session.execute(
            select(table.rater_id, func.count())
            .where(table.collection_id == collection.id, table.round == FIRST, is_given(table))
            .group_by(table.rater_id)
        ).all()
    )
    rows = session.execute(
        select(Membership.rater_id, Membership.excluded, Exclusion.overruled, Exclusion.reasons)
        .outerjoin(
            Exclusion,
            (Exclusion.rater_id == Membership.rater_id)
            & (Exclusion.collection_id == Membership.collection_id),
        )
        .where(Membership.collection_id == collection.id)
    ).all()
    by_rule = [rater for rater, excluded, overruled, _ in rows if excluded and overruled is False]
    by_admin = [rater for rater, excluded, overruled, _ in rows if excluded and overruled is not False]
    kept = sum(bool(not excluded and overruled and why) for _, excluded, overruled, why in rows)
    for raters, who in ((by_rule, "This rule"), (by_admin, "The researchers")):
        if raters:
            lost = sum(answers.get(rater, 0) for rater in raters)
            yield f"{who} excluded {many(len(raters), 'rater')} with {many(lost, noun)}."
    if kept:
        yield f"The researchers included {many(kept, 'rater')} whom the rule had excluded."
