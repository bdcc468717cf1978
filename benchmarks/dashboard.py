"""How long the dashboard of a large study takes: when figures are computed, and when they are kept.

    python benchmarks/dashboard.py [--database URL] [--pictures N] [--ratings N] [--raters N] > table.md

Ratings are made up, and written straight into the database; pages are asked for without a network. A page
may take two seconds when its figures are computed, half a second once they are kept, and People 0.2 s.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
from flask import Flask
from rate import database
from sqlalchemy import insert, select, text, update

from nimakit.web.app import create_app, services_of
from nimakit.web.collections.members import PER_PAGE
from nimakit.web.collections.setup import add_collection
from nimakit.web.db.tables import RATING, Collection, Event, Image, Membership, Rater, Rating, now
from nimakit.web.settings import read_settings

REPEATS = 5


def main() -> None:
    """Make a study, look at it, and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", help="postgresql://USER@HOST/postgres  [default: SQLite]")
    parser.add_argument("--pictures", type=int, default=900)
    parser.add_argument("--ratings", type=int, default=114_000)
    parser.add_argument("--raters", type=int, default=800)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, database(given.database, Path(name)) as place:
        address = place.engine.url.render_as_string(hide_password=False)
        folders, data = (Path(name),), Path(name, "ratings")
        app = create_app(
            read_settings(folders=folders, data_dir=data, database=address, environment={}), background=False
        )
        fill(app, Path(name), given.pictures, given.ratings, given.raters)
        browser = app.test_client()
        browser.get("/collections")
        rows = [("computing the figures", 2.0, seconds(lambda: compute(app)))]
        for page, address, allowed in (
            ("the dashboard once they are kept", "dashboard", 0.5),
            ("People", "people", 0.2),
            ("People, the last page", f"people?page={-(-given.raters // PER_PAGE)}", 0.2),
            ("People, a search", "people?q=n+7", 0.2),
        ):
            taken = sorted(seconds(partial(browser.get, f"/c/study/{address}")) for _ in range(REPEATS))
            rows.append((f"{page} (median of {REPEATS})", allowed, taken[REPEATS // 2]))
        services_of(app).database.close()
    print(f"{given.ratings:,} ratings of {given.pictures:,} pictures by {given.raters:,} people\n")
    print("| what | seconds | allowed | ratio | seconds of a core |\n|---|---|---|---|---|")
    for what, allowed, (wait, work) in rows:
        print(f"| {what} | {wait:.2f} | {allowed:g} | {wait / allowed:.2f} | {work:.2f} |")


def seconds(act: Callable[[], object]) -> tuple[float, float]:
    """How long something takes, and how much of a core; on a busy machine the first is longer."""
    started, worked = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - started, time.process_time() - worked


def compute(app: Flask) -> None:
    """As the first page that asks has it done, however long it takes."""
    services = services_of(app)
    with services.database.read() as session:
        collection = session.scalars(select(Collection)).one()
        services.statistics.of(session, collection, patience=600)


def fill(app: Flask, folder: Path, pictures: int, ratings: int, raters: int) -> None:
    """Make pictures, people, and what they say: each pair of a picture and a person at most once."""
    random = np.random.default_rng(0)
    quality, kindness = random.normal(5.5, 1, pictures), random.normal(0, 0.5, raters)
    pairs = np.unique(random.integers(0, pictures * raters, ratings))
    image, person = np.divmod(random.permutation(pairs), raters)
    said = random.normal(quality[image] + kindness[person], 1.2).round().clip(1, 10)
    at = now()
    with services_of(app).database.write() as session:
        key = add_collection(session, folder, name="study").id
        session.execute(
            insert(Image),
            [
                {"collection_id": key, "path": f"{n}.jpg", "image_id": f"{n}", "size": 1, "mtime_ns": 1}
                for n in range(pictures)
            ],
        )
        session.execute(insert(Rater), [{"code": f"person {n}"} for n in range(raters)])
        images = session.scalars(select(Image.id).order_by(Image.id)).all()
        people = session.scalars(select(Rater.id).where(Rater.code.like("person %")).order_by(Rater.id)).all()
        session.execute(insert(Membership), [{"rater_id": who, "collection_id": key} for who in people])
        rows = [
            {
                "client_id": f"{n}",
                "collection_id": key,
                "rater_id": people[who],
                "kind": RATING,
                "image_id": images[what],
                "value": value,
                "round": 0,
                "occurred_at": at - timedelta(seconds=10 * n),
                "received_at": at - timedelta(seconds=10 * n),
                "source": "app",
                "event_id": n + 1,
            }
            for n, (what, who, value) in enumerate(
                zip(image.tolist(), person.tolist(), said.tolist(), strict=True)
            )
        ]
        session.execute(insert(Event), rows)
        session.execute(insert(Rating), rows)
        for count in np.unique(np.bincount(image, minlength=pictures)).tolist():
            rated = np.flatnonzero(np.bincount(image, minlength=pictures) == count)
            session.execute(update(Image), [{"id": images[n], "count": count} for n in rated.tolist()])
        if session.connection().dialect.name == "postgresql":  # as its autovacuum does within a minute
            session.execute(text("ANALYZE"))


if __name__ == "__main__":
    main()
