"""How much time `--measures` adds to scoring, as shares of processor time measured in one run.

    python benchmarks/measures.py > table.md

Needs, the first time, a network for the public weights. The images are made from data/samples.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from predict import make_images, row

from nimakit.errors import ImageError
from nimakit.models import loading
from nimakit.models.engine import Scorer
from nimakit.models.score import Score

WANTED = "<= 0.15"
PAIRS = 7


def main() -> None:
    """Print a Markdown table."""
    model = loading.load_model()
    plain, measuring = Scorer(model), Scorer(model, measures=True)
    print("| what | share | wanted |\n|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="nimakit-benchmark-") as name:
        for label, count, size in (("640x480", 48, (640, 480)), ("12 megapixels", 12, (4000, 3000))):
            folder = make_images(Path(name) / label, count, size)
            photos = [path.read_bytes() for path in sorted(folder.iterdir())]
            seconds(measuring, photos)
            added = [seconds(measuring, photos) / seconds(plain, photos) - 1 for _ in range(PAIRS)]
            row(f"{count} JPEGs of {label}: time added by measures", statistics.median(added), WANTED)


def seconds(scorer: Scorer[Score], photos: Sequence[bytes]) -> float:
    """Processor time of scoring photographs, of all threads together."""
    started = time.process_time()
    if any(isinstance(result, ImageError) for result in scorer.score(photos)):
        raise SystemExit("a photograph could not be scored")
    return time.process_time() - started


if __name__ == "__main__":
    main()
