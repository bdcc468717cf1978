"""Cost of looking features up in the store, compared with computing them.

    python benchmarks/features.py --image-dir photos > table.md

The store is in a temporary cache folder, so nothing computed earlier counts; weights come from the usual one.
"""

import argparse
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from nimakit.features import FeatureTable, extract
from nimakit.features.store import Store
from nimakit.images.files import find_images
from nimakit.models.encoders import load_encoder
from nimakit.progress import say

WIDTH, ROWS = 1280, 50_000
"""Of a large store, which is filled with random numbers."""


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-dir", type=Path, required=True)
    parser.add_argument("--encoder", default="efficientnet-lite0")
    given = parser.parse_args()
    paths = find_images(given.image_dir)
    encoder = load_encoder(given.encoder, notify=say)
    with TemporaryDirectory() as folder:
        os.environ["NIMAKIT_CACHE"] = folder

        def run(files: Sequence[Path]) -> tuple[float, FeatureTable]:
            return timed(lambda: extract([encoder], files))

        computing, table = run(paths)
        known = min(run(table.paths)[0] for _ in range(3))
        copies = [Path(shutil.copy(path, folder)) for path in table.paths]
        moved = run(copies)[0]
        count = len(table.paths)
        rows = [("computed", computing), ("looked up under another path", moved), ("looked up", known)]
        print(f"{count} photographs, {encoder.label}:\n\n| features | ms per photo | ratio |\n|---|---|---|")
        for name, seconds in rows:
            print(f"| {name} | {1000 * seconds / count:.2f} | 1/{computing / seconds:.0f} |")
        print(f"\n{large_store():.3f} ms per vector of {WIDTH} in a store of {ROWS}.")


def timed(work: Callable[[], FeatureTable]) -> tuple[float, FeatureTable]:
    """Seconds that the work took, and its result."""
    started = time.perf_counter()
    table = work()
    return time.perf_counter() - started, table


def large_store() -> float:
    """Milliseconds to read one of many vectors, in any order."""
    random = np.random.default_rng(0)
    contents = [random.bytes(32) for _ in range(ROWS)]
    with Store() as store:
        for start in range(0, ROWS, 1000):
            vectors = random.normal(size=(1000, WIDTH)).astype(np.float32)
            store.write("random", dict(zip(contents[start : start + 1000], vectors, strict=True)))
        random.shuffle(contents)
        started = time.perf_counter()
        found = sum(len(store.read("random", contents[n : n + 1024])) for n in range(0, ROWS, 1024))
    return 1000 * (time.perf_counter() - started) / found


if __name__ == "__main__":
    main()
