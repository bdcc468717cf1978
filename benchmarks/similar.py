"""How long the pictures most similar to one take among 100,000, and how much memory the index has.

    python benchmarks/similar.py [--pictures 100000] [--features 1024] > table.md

Needs the rate extra. Features are random, none below zero, as those of MobileNet; the database is an SQLite
file of half a gigabyte in a temporary folder. The plain way is NumPy: one product with all features in memory
in single precision, and the largest of it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from nimakit.web.db.database import Database, sqlite_url
from nimakit.web.db.features import Float32Array, all_features, write_features
from nimakit.web.db.tables import Collection, Image
from nimakit.web.similarity.index import Index

_QUERIES = 40
_FOUND = 12
_BATCH = 2000
_MB = 1e6
_SECONDS_FRESH = 5.1


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=1024)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(sqlite_url(Path(folder, "ratings.db")))
        collection = _fill(database, options.pictures, options.features)
        _measure(database, collection, options.features)
        database.close()


def _fill(database: Database, pictures: int, size: int) -> Collection:
    """A collection with features."""
    database.migrate()
    random = np.random.default_rng(0)
    collection = Collection(slug="x", name="x", folder="/", model="random")
    with database.write() as session:
        session.add(collection)
    for start in range(0, pictures, _BATCH):
        keys = range(start + 1, min(start + _BATCH, pictures) + 1)
        shared = {"collection_id": collection.id, "size": 1, "mtime_ns": 1, "position": 0.5}
        with database.write() as session:
            session.execute(
                insert(Image), [{"id": n, "path": f"{n}.jpg", "image_id": f"{n}", **shared} for n in keys]
            )
            write_features(session, {n: _features(random, size) for n in keys})
    return collection


def _features(random: np.random.Generator, size: int) -> Float32Array:
    return np.maximum(random.normal(size=size), 0).astype(np.float32)


def _measure(database: Database, collection: Collection, size: int) -> None:
    random = np.random.default_rng(1)
    queries = [_features(random, size) for _ in range(_QUERIES)]
    index = Index()
    index.nearest(queries[0], 1)
    before = _resident()
    with database.read() as session:
        first = _seconds(lambda: index.refresh(session, collection))
        time.sleep(_SECONDS_FRESH)
        again = _seconds(lambda: index.refresh(session, collection))
    memory = _resident() - before
    index.share_below(0.5)
    ours = [_seconds(partial(index.nearest, query, _FOUND)) for query in queries]
    with database.read() as session:
        keys, vectors = all_features(session, collection)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def plain(query: Float32Array) -> list[int]:
        scores = vectors @ (query / np.linalg.norm(query))
        best = np.argpartition(-scores, _FOUND)[:_FOUND]
        return [int(key) for key in keys[best]]

    theirs = [_seconds(partial(plain, query)) for query in queries]
    same = [len({*index.nearest(query, _FOUND)} & {*plain(query)}) / _FOUND for query in queries]
    milliseconds = 1000 * statistics.median(ours)
    print(f"{len(index):,} pictures, {size} features each.\n\n| what | measured |\n|---|---|")
    print(
        f"| a search for {_FOUND}: median, slowest of {_QUERIES}"
        f" | {milliseconds:.1f} ms, {1000 * max(ours):.1f} ms |"
    )
    print(f"| a search: plain NumPy / nimakit | {statistics.median(theirs) / statistics.median(ours):.2f} |")
    print(f"| of the {_FOUND}, found by plain NumPy too | {100 * statistics.mean(same):.1f} % |")
    print(f"| the index read from the database | {first:.1f} s |")
    print(f"| a look whether anything is new | {1000 * again:.0f} ms |")
    print(
        f"| memory of the index; of plain NumPy's features | {memory:.0f} MB; {vectors.nbytes / _MB:.0f} MB |"
    )


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _resident() -> float:
    """Megabytes this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096 / _MB


if __name__ == "__main__":
    main()
