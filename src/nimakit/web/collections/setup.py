"""Creates and changes collections, for the command line and the admin pages."""

import re
import unicodedata
from collections.abc import Callable
from itertools import chain, count
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.errors import UsageError, shortened
from nimakit.io.rules import Rule, is_integer, is_number, is_one_of, is_true_or_false, or_null
from nimakit.models.encoders import PUBLIC_ENCODERS
from nimakit.models.pretrained import public_models
from nimakit.progress import say
from nimakit.web.accounts import raters
from nimakit.web.db.database import Database
from nimakit.web.db.features import forget_scores
from nimakit.web.db.scale import Scale
from nimakit.web.db.tables import CHOICES, CULL, EXPERIMENTS, ORDERS, Choice, Collection, Flag, Rating
from nimakit.web.predictions.tastes import forget_tastes
from nimakit.web.settings import PASSWORD_VARIABLE, Settings
from nimakit.web.study.setup import refuse_experiment

DEFAULT_MODEL = "aesthetic"
STARS = Scale(1, 5)
"""The scale of a cull."""
_LONGEST_PATH = 1000


def _is_text(longest: int, shortest: int = 0) -> Any:
    return lambda value: isinstance(value, str) and shortest <= len(value.strip()) <= longest


def _is_model(value: Any) -> bool:
    is_file = isinstance(value, str) and Path(value).suffix.lower() in (".onnx", ".json")
    return value in public_models() or (is_file and len(value) <= _LONGEST_PATH)


def _is_encoder(value: Any) -> bool:
    is_file = isinstance(value, str) and Path(value).suffix.lower() == ".onnx"
    return value in PUBLIC_ENCODERS or (is_file and len(value) <= _LONGEST_PATH)


SIZES = sorted({size for sizes in CHOICES.values() for size in sizes})
"""Numbers of pictures that people compare at a time in some experiment."""

RULES: dict[str, Rule] = {
    "name": Rule(_is_text(200, 1), "text of 1 to 200 characters"),
    "experiment": Rule(is_one_of(*EXPERIMENTS), f"one of {', '.join(EXPERIMENTS)}"),
    "choices": Rule(lambda value: value in SIZES, f"one of {', '.join(map(str, SIZES))}"),
    "wanted": Rule(or_null(is_integer(1, 10_000)), "a number from 1 to 10000, or none"),
    "ordering": Rule(is_one_of(*ORDERS), f"one of {', '.join(ORDERS)}"),
    "blind": Rule(is_true_or_false, "true or false"),
    "show_others": Rule(is_true_or_false, "true or false"),
    "repeats": Rule(is_number(0, 0.5), "a share from 0 to 0.5"),
    "sign_up": Rule(is_true_or_false, "true or false"),
    "is_open": Rule(is_true_or_false, "true or false"),
    "personal": Rule(is_true_or_false, "true or false"),
    "model": Rule(
        or_null(_is_model),
        f"a public model ({', '.join(public_models())}), an .onnx file or an ensemble .json",
    ),
    "encoder": Rule(
        or_null(_is_encoder), f"a public encoder ({', '.join(PUBLIC_ENCODERS)}) or an .onnx file"
    ),
    "question": Rule(_is_text(200), "text of up to 200 characters"),
    "low_label": Rule(_is_text(40), "text of up to 40 characters"),
    "high_label": Rule(_is_text(40), "text of up to 40 characters"),
}
"""Rules for the settings of a collection, except the scale."""


def open_collections(settings: Settings, values: dict[str, Any]) -> str:
    """Create the database, and a collection for each folder without one.

    Args:
        settings: Settings of the app.
        values: Settings of new collections, from the command line.

    Returns:
        The names of the collections, for the log.

    Raises:
        UsageError: There is no collection, a value breaks a rule, or the admin needs a password.
        StorageError: The database cannot be used.
    """
    if "scale" in values:
        values = {**values, "scale": Scale.parse(values["scale"])}
    if "choices" in values:
        values = {**values, "choices": int(values["choices"])}
    database = Database(settings.database)
    try:
        database.migrate()
        ensure_admin(database, settings)
        with database.write() as session:
            for folder in settings.folders:
                if collection_of(session, folder) is None:
                    add_collection(session, folder, **values)
                elif values:
                    say(f"{folder} already has a collection. Change it on its Settings page.")
            kept = select(Collection.name).where(Collection.removed_at.is_(None))
            names = list(session.scalars(kept.order_by(Collection.id)))
    finally:
        database.close()
    if not names:
        raise UsageError("There is nothing to rate yet. Give a folder of photographs: --images DIR.")
    return shortened(names, 3)


def ensure_admin(database: Database, settings: Settings) -> None:
    """Set the admin's password if one is given, and check that there is an admin.

    Args:
        database: A database with tables.
        settings: Settings of the app.

    Raises:
        UsageError: Others can reach the app, and the admin has no password.
        StorageError: The database cannot be used.
    """
    with database.write() as session:
        if settings.password is not None:
            raters.set_password(session, settings.password)
        if settings.is_local:
            raters.local_rater(session)
        elif not raters.has_password(session):
            raise UsageError(
                f"If others can reach the app, it needs an admin password. Set {PASSWORD_VARIABLE} at"
                " the first start; it is stored as a hash."
            )


def add_collection(session: Session, folder: Path, **values: Any) -> Collection:
    """Create a collection from a folder.

    Args:
        session: From `Database.write`.
        folder: Absolute path, links resolved.
        values: ``name``, ``slug``, and the values of `change_collection`.

    Raises:
        UsageError: A value breaks a rule.
    """
    name = str(values.pop("name", None) or folder.name or "photographs")
    slug = values.pop("slug", None) or free_slug(session, name)
    collection = Collection(slug=slug, name=name, folder=str(folder))
    session.add(collection)
    session.flush()
    change_collection(session, collection, **values)
    return collection


def collection_of(session: Session, folder: Path) -> Collection | None:
    """The first collection of a folder, if any, even an archived one or one that can be brought back."""
    own = select(Collection).where(Collection.folder == str(folder), Collection.removed_at.is_(None))
    return session.scalars(own.order_by(Collection.id).limit(1)).first()


def change_collection(session: Session, collection: Collection, **values: Any) -> None:
    """Change the settings of a collection.

    Args:
        session: From `Database.write`.
        collection: The collection.
        values: Values of `RULES`, and ``scale``, a `Scale`.

    Raises:
        UsageError: A value breaks a rule, or existing ratings would lose their meaning.
    """
    scale = values.pop("scale", collection.scale if collection.low is not None else Scale())
    problems = [
        f"{key} must be {RULES[key].text}" for key, value in values.items() if not RULES[key].holds(value)
    ]
    if problems:
        raise UsageError("; ".join(problems) + ".")
    experiment = values.get("experiment", collection.experiment)
    if experiment == CULL:
        scale, values["personal"] = STARS, True
    if sizes := CHOICES.get(experiment):
        values["choices"] = _size(experiment, sizes, values.get("choices"), collection.choices)
    needs_model = experiment == "rate" or values.get("personal", collection.personal)
    if needs_model and not values.get("model", collection.model):
        values["model"] = DEFAULT_MODEL
    other = {**values, "low": scale.low, "high": scale.high}
    refuse_change(session, collection, **other)
    if "model" in other and other["model"] != collection.model:
        collection.model_note = ""
        forget_scores(session, collection)
        forget_tastes(session, collection)
    for key, value in other.items():
        setattr(collection, key, value.strip() if isinstance(value, str) else value)


def refuse_change(session: Session, collection: Collection, **values: Any) -> None:
    """Check that a change leaves existing ratings their meaning.

    Args:
        session: From `Database.read`.
        collection: The collection.
        values: The new values of columns, or ``scale``, a `Scale`.

    Raises:
        UsageError: It does not, or a study could not go on.
    """
    if "scale" in values:
        values |= {"low": values["scale"].low, "high": values["scale"].high}
    kind_changes = kind_of(values.get("experiment", collection.experiment)) != kind_of(collection.experiment)
    scale_changes = any(
        key in values and values[key] != getattr(collection, key) for key in ("low", "high", "choices")
    )
    if (kind_changes or scale_changes) and is_rated(session, collection):
        raise UsageError(
            "Scale, number of choices and kind of experiment cannot change once there are ratings."
            " Duplicate the collection instead."
        )
    if kind_changes or scale_changes:
        new = {key: values.get(key, getattr(collection, key)) for key in ("experiment", "choices")}
        low, high = (values.get(key, getattr(collection, key)) for key in ("low", "high"))
        refuse_experiment(session, collection, scale=Scale(low, high), **new)


def _size(experiment: str, sizes: tuple[int, ...], asked: int | None, present: int | None) -> int:
    """Number of pictures in a comparison: the one asked for, else the present one if the experiment has it.

    Raises:
        UsageError: The experiment does not have the one asked for.
    """
    if asked is None:
        return present if present in sizes else sizes[0]
    if asked not in sizes:
        *others, last = sizes
        raise UsageError(
            f"In the experiment {experiment}, people choose from {', '.join(map(str, others))} or {last}"
            f" pictures. Received: {asked}"
        )
    return asked


def is_rated(session: Session, collection: Collection) -> bool:
    """Whether people have rated, compared or skipped any picture."""
    return any(
        session.scalars(select(table.event_id).where(table.collection_id == collection.id).limit(1)).first()
        for table in (Rating, Choice, Flag)
    )


def kind_of(experiment: str | None) -> str:
    """The kind of an experiment. Experiments of the same kind have answers that are read alike."""
    return experiment if experiment in (*CHOICES, CULL) else "score"


def free_slug(session: Session, name: str, claim: Callable[[str], bool] = bool) -> str:
    """A unique name for addresses.

    Args:
        session: From `Database.write`.
        name: What it is made from.
        claim: Called with free names, the best first, until it accepts one.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    base = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:48] or "photographs"
    taken = set(session.scalars(select(Collection.slug)))
    names = chain([base], (f"{base}-{number}" for number in count(2)))
    return next(name for name in names if name not in taken and claim(name))
