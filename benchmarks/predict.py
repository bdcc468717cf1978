"""How fast and how small `nimakit predict` is, as ratios measured in one run.

    python benchmarks/predict.py [--quick] > table.md

Needs the train extra (the plain way runs on Keras) and, the first time, a network for the public weights.
The images are made from data/samples: real photographs, each one cropped or scaled anew.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from nimakit.errors import ImageError
from nimakit.images.photo import ImageInput, open_photo, prepare
from nimakit.models import conversion, loading, pretrained
from nimakit.models.engine import Scorer

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "data" / "samples"
BATCH = 8

Item = TypeVar("Item")


@dataclass(frozen=True)
class Finished:
    """One finished process: seconds, largest resident set in MiB, and what it printed."""

    seconds: float
    mebibytes: float
    output: str


def main() -> None:
    """Run every benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the images, one run each")
    quick = parser.parse_args().quick
    runs = 1 if quick else 5
    share = 5 if quick else 1
    with tempfile.TemporaryDirectory(prefix="nimakit-benchmark-") as name:
        folder = Path(name)
        weights = pretrained.fetch_weights("aesthetic")
        conversion.fetch("aesthetic")
        small = make_images(folder / "small", 500 // share, (640, 480))
        large = make_images(folder / "large", 60 // share, (4000, 3000))
        single = make_images(folder / "single", 1, (640, 480))
        print("| what | ratio | wanted |\n|---|---|---|")
        for label, images, wanted in (
            (f"(a) {500 // share} JPEGs of 640x480: plain way / nimakit", small, ">= 3.5"),
            ("(c) one JPEG of 640x480: plain way / nimakit", single, ">= 10"),
            (
                f"(d) {60 // share} JPEGs of 12 megapixels: plain way / nimakit",
                large,
                ">= 3.5",
            ),
        ):
            row(label, statistics.median(speed_ups(weights, images, runs)), wanted)
        for count in (500 // share, 5000 // share):
            shares = [share_of_possible(cycle(small, count), count) for _ in range(runs)]
            row(
                f"(b) {count} images, throughput / what decoding and inference alone allow",
                statistics.median(shares),
                ">= 0.90",
            )
        few, many = (
            linked(small, folder / "few", 500 // share),
            linked(small, folder / "many", 10_000 // share),
        )
        growth = nimakit(many).mebibytes / nimakit(few).mebibytes
        row(f"(e) peak memory, {10_000 // share} images / {500 // share} images", growth, "<= 1.2")


def row(label: str, ratio: float, wanted: str) -> None:
    """Print a row as soon as it is known."""
    print(f"| {label} | {ratio:.2f} | {wanted} |", flush=True)


def make_images(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """A folder of different JPEGs of one size, out of the sample photographs."""
    folder.mkdir()
    sources = [Image.open(path).convert("RGB") for path in sorted(SAMPLES.glob("*.jpg"))]
    for number in range(count):
        source = sources[number % len(sources)]
        cut = number // len(sources) % 32
        box = (cut, cut, source.width - cut, source.height - cut)
        source.resize(size, Image.Resampling.BICUBIC, box).save(folder / f"{number:05d}.jpg", quality=90)
    return folder


def linked(source: Path, folder: Path, count: int) -> Path:
    """A folder that names the images of another over and over."""
    folder.mkdir()
    for number, path in enumerate(cycle(source, count)):
        (folder / f"{number:05d}.jpg").symlink_to(path)
    return folder


def cycle(folder: Path, count: int) -> Iterator[Path]:
    """The images of a folder, over and over."""
    paths = sorted(folder.iterdir())
    return (paths[number % len(paths)] for number in range(count))


def run(command: list[str]) -> Finished:
    """Run a command to its end; its peak memory is the kernel's figure for that process."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{command} ended with {process.returncode}")
        output.seek(0)
        return Finished(seconds, usage.ru_maxrss / 1024, output.read())


def nimakit(folder: Path) -> Finished:
    """`nimakit predict` on a folder."""
    return run([sys.executable, "-m", "nimakit", "predict", "--image-source", str(folder)])


def speed_ups(weights: Path, folder: Path, runs: int) -> Iterator[float]:
    """Seconds of the plain way over ours, in turn; their scores must agree."""
    plain_command = [sys.executable, str(HERE / "plain_way.py"), str(weights), str(folder)]
    nimakit(folder)  # both find the images in the page cache
    for _ in range(runs):
        plain, ours = run(plain_command), nimakit(folder)
        expected, received = means(plain.output), means(ours.output)
        worst = max(abs(expected[name] - received[name]) for name in expected)
        if expected.keys() != received.keys() or worst > 1e-3:
            raise SystemExit(f"scores differ by up to {worst}")
        yield plain.seconds / ours.seconds


def means(output: str) -> dict[str, float]:
    """image_id -> mean score of a JSON array of records."""
    return {record["image_id"]: record["mean_score_prediction"] for record in json.loads(output)}


def share_of_possible(images: Iterable[ImageInput], count: int) -> float:
    """Throughput of the engine over the harmonic sum of its two stages' own rates on the same cores.

    Each stage is timed with all cores to itself: 1 / (1 / decode rate + 1 / inference rate) is what perfect
    sharing of those cores gives.
    """
    sources = list(images)
    model = loading.load_model()
    wanted = model.preprocessings[0]
    cores = len(os.sched_getaffinity(0))

    def decode(source: ImageInput) -> None:
        prepare(open_photo(source), wanted)

    batch = {wanted: np.stack([prepare(open_photo(s), wanted) for s in sources[:BATCH]])}

    def infer(_: int) -> None:
        model.score_prepared(batch)

    sample = sources[: min(count, 500)]
    decoding = timed(lambda: spread(decode, sample, cores)) / len(sample)
    batches = range(max(1, len(sample) // BATCH))
    inference = timed(lambda: spread(infer, batches, cores)) / (len(batches) * BATCH)
    scorer = Scorer(model)
    taken = timed(lambda: [r for r in scorer.score(sources) if isinstance(r, ImageError)]) / len(sources)
    return (decoding + inference) / taken


def spread(work: Callable[[Item], None], items: Iterable[Item], threads: int) -> None:
    """Do the work on all items with so many threads."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, items))


def timed(work: Callable[[], object]) -> float:
    """Seconds a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
