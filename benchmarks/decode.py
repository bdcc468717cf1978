"""What scaled decoding saves, and whether it changes a model's accuracy, as ratios measured in one run.

    python benchmarks/decode.py [--quick] > table.md
    python benchmarks/decode.py --samples-file LABELS --image-dir IMAGES > accuracy.md

The first form makes JPEGs of 12 megapixels from data/samples, without noise and with as much as a camera
has at a medium and a high sensitivity, and decodes and scores them in turn whole and scaled, by a model with
the same weights. The second form, which needs the train extra, enlarges rated photographs until they are
decoded at a quarter, and cross-validates a ridge regression on the features that the frozen EfficientNetLite0
of config_small_data computes of either decode. Weights need a network the first time.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image

from nimakit.config import TrainConfig
from nimakit.errors import ImageError
from nimakit.images.photo import OVERSAMPLING, Preprocessing, open_photo, prepare
from nimakit.labels.label_file import read_labels
from nimakit.models import conversion, pretrained
from nimakit.models.engine import Member, Model, Scorer
from nimakit.models.metadata import METADATA_KEY, Metadata
from nimakit.models.network import Network
from nimakit.progress import track
from nimakit.scoring.items import list_items
from nimakit.stats.correlation import srcc
from nimakit.stats.head import fit_linear, log_histograms
from nimakit.stats.histogram import Float32Array, FloatArray, default_bins, softmax

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "data" / "samples"
CONFIGS = HERE.parent / "models"
SIZE = (4000, 3000)
NOISE = {"none": 0.0, "medium": 2.0, "high": 8.0}
"""Standard deviation of the noise, in grey levels."""
FOLDS = 5


@dataclass(frozen=True)
class Seconds:
    """How long a process took, and its seconds on all cores together."""

    elapsed: float
    processor: float


def main() -> None:
    """Measure one of the two, and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a fifth of the images, one run each")
    parser.add_argument("--samples-file", type=Path, help="label file of rated photographs")
    parser.add_argument("--image-dir", type=Path, help="their folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nimakit-decode-") as name:
        if options.samples_file:
            accuracy(Path(name), options.samples_file, options.image_dir)
        else:
            speed(Path(name), count=12 if options.quick else 60, runs=1 if options.quick else 3)


def speed(folder: Path, count: int, runs: int) -> None:
    """Whole / scaled: decoding and resizing by itself, and whole processes of `nimakit predict`."""
    print("| JPEGs of 12 megapixels | each | seconds: whole / scaled |\n|---|---|---|")
    for noise, deviation in NOISE.items():
        images = make_images(folder / noise, 12 if deviation else count, deviation)
        paths = sorted(images.iterdir())
        megabytes = sum(path.stat().st_size for path in paths) / len(paths) / 1e6
        for height, width in ((224, 224), (256, 320), (320, 400)):
            wanted = Preprocessing(height=height, width=width, resize_filter="bicubic", fit="squash")
            ratio = decoding(paths[:12], wanted)
            print(f"| decode and resize to {width}x{height} | {megabytes:.1f} MB | {ratio:.2f} |", flush=True)
    photographs = folder / "none"
    print("\n| `nimakit predict` on them | seconds: whole / scaled | processor seconds |\n|---|---|---|")
    weights = pretrained.fetch_weights("aesthetic")
    for height, width in ((224, 224), (256, 320)):
        config = TrainConfig(
            base_model_name="MobileNet",
            input_size=(height, width),
            resize_filter="bicubic",
            decode="scaled",
        )
        scaled = conversion.convert(weights, "MobileNet", config=config)
        whole = with_decode(scaled, folder / "whole.onnx", "full")
        pairs = [(predict(whole, photographs), predict(scaled, photographs)) for _ in range(runs)]
        elapsed = statistics.median(slow.elapsed / fast.elapsed for slow, fast in pairs)
        processor = statistics.median(slow.processor / fast.processor for slow, fast in pairs)
        print(f"| MobileNet at {width}x{height} | {elapsed:.2f} | {processor:.2f} |", flush=True)


def make_images(folder: Path, count: int, deviation: float) -> Path:
    """A folder of JPEGs of 12 megapixels, out of the sample photographs."""
    folder.mkdir()
    sources = [Image.open(path).convert("RGB") for path in sorted(SAMPLES.glob("*.jpg"))]
    noise = noise_of(SIZE, deviation)
    for number in range(count):
        content = enlarged(sources[number % len(sources)], np.roll(noise, 17 * number, axis=(0, 1)))
        (folder / f"{number:03d}.jpg").write_bytes(content)
    return folder


def noise_of(size: tuple[int, int], deviation: float) -> NDArray[np.int16]:
    """(height, width, 1) Gaussian noise in grey levels."""
    random = np.random.default_rng(0)
    return (deviation * random.standard_normal((size[1], size[0], 1), np.float32)).round().astype(np.int16)


def enlarged(image: Image.Image, noise: NDArray[np.int16]) -> bytes:
    """A JPEG of a picture at the size of the noise, which is added."""
    height, width, _ = noise.shape
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)) + noise
    stream = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def decoding(paths: Sequence[Path], wanted: Preprocessing) -> float:
    """Processor seconds of decoding and resizing, whole / scaled: of each JPEG in turn, on one core."""

    def seconds(source: bytes, preprocessing: Preprocessing) -> float:
        started = time.thread_time()
        prepare(open_photo(source, preprocessing=preprocessing), preprocessing)
        return time.thread_time() - started

    scaled = replace(wanted, decode="scaled")
    sources = [path.read_bytes() for path in paths]
    pairs = [(seconds(source, wanted), seconds(source, scaled)) for source in sources]
    return statistics.median(slow / fast for slow, fast in pairs)


def trained(folder: Path, config: dict[str, object], photographs: Sequence[Path]) -> Path:
    """The model file of a job with made-up ratings of some photographs, of one epoch at most."""
    folder.mkdir()
    random = np.random.default_rng(0)
    samples = [{"image_id": path.stem, "label": random.integers(1, 9, 7).tolist()} for path in photographs]
    (folder / "labels.json").write_text(json.dumps(samples), "utf-8")
    epochs = min(1, int(str(config["epochs_train_all"])))
    (folder / "config.json").write_text(json.dumps(config | {"epochs_train_all": epochs}), "utf-8")
    options = ["--config-file", str(folder / "config.json"), "--samples-file", str(folder / "labels.json")]
    options += ["--image-dir", str(photographs[0].parent), "--jobs-dir", str(folder)]
    command = [sys.executable, "-m", "nimakit", "train", *options]
    job = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return Path(job.stdout.strip()) / "model.onnx"


def with_decode(model: Path, output: Path, decode: str) -> Path:
    """The same model with another decode."""
    graph = onnx.load(model)
    metadata = Metadata.from_json(next(p.value for p in graph.metadata_props if p.key == METADATA_KEY))
    onnx.helper.set_model_props(graph, {METADATA_KEY: metadata.changed({"decode": decode}).to_json()})
    onnx.save(graph, output)
    return output


def predict(model: Path, folder: Path) -> Seconds:
    """Score a folder in a process of its own."""
    command = [
        *(sys.executable, "-m", "nimakit", "predict"),
        *("--model", str(model), "--image-source", str(folder)),
    ]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return Seconds(time.perf_counter() - started, usage.ru_utime + usage.ru_stime)


def accuracy(folder: Path, samples_file: Path, image_dir: Path) -> None:
    """SRCC of a ridge regression, trained and tested on whole and on scaled decodes of the same JPEGs."""
    items = [item for item in list_items(image_dir, read_labels(samples_file)) if item.path is not None]
    paths = [item.path for item in items if item.path is not None]
    labels = np.stack([item.label for item in items if item.label is not None])
    config = json.loads((CONFIGS / "EfficientNetLite0" / "config_small_data.json").read_text("utf-8"))
    scaled_file = trained(folder / "job", config, paths[:12])
    whole_file = with_decode(scaled_file, folder / "whole.onnx", "full")
    whole, scaled = features([whole_file, scaled_file], paths)
    print("| trained on | scored | SRCC of each fold | mean |\n|---|---|---|---|")
    for trained_on, scored, learned, seen in (
        ("whole", "whole", whole, whole),
        ("scaled", "scaled", scaled, scaled),
        ("whole", "scaled", whole, scaled),
    ):
        found = cross_validated(learned, seen, labels)
        each = " ".join(f"{value:.4f}" for value in found)
        print(f"| {trained_on} | {scored} | {each} | {np.mean(found):.4f} |", flush=True)


def features(models: Sequence[Path], paths: Sequence[Path]) -> list[Float32Array]:
    """For each model (N, D) features of enlarged photographs."""
    both = Model([Member(Network(path)) for path in models])
    wanted = both.preprocessings[0]
    size = (4 * OVERSAMPLING * wanted.width, 4 * OVERSAMPLING * wanted.height)
    noise = noise_of(size, NOISE["medium"])

    def photographs() -> Iterator[bytes]:
        for number, path in enumerate(paths):
            with Image.open(path) as image:
                yield enlarged(image.convert("RGB"), np.roll(noise, 17 * number, axis=(0, 1)))

    rows = []
    for result in track(Scorer(both).score(photographs()), len(paths), "computing features"):
        if isinstance(result, ImageError):
            raise result
        rows.append(np.asarray(result.features, np.float32))
    return np.split(np.stack(rows), len(models), axis=1)


def cross_validated(learned: Float32Array, seen: Float32Array, labels: FloatArray) -> list[float]:
    """SRCC of each fold between mean ratings and scores of a head that was fitted to the other folds."""
    bins = default_bins(labels.shape[1])
    found = []
    for part in np.array_split(np.random.default_rng(0).permutation(len(labels)), FOLDS):
        rest = np.setdiff1d(np.arange(len(labels)), part)
        fitted = fit_linear([learned[None, rest]], log_histograms(labels[rest])).head
        scores = softmax(fitted([seen[part]])) @ bins
        found.append(srcc(scores, labels[part] @ bins) or 0.0)
    return found


if __name__ == "__main__":
    main()
