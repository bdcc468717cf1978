"""What features and heads save: against fine-tuning, against scoring anew, and what the head itself costs.

    python benchmarks/heads.py --samples-file LABELS --image-dir IMAGES [--photographs N] [--epochs N]

All times are of one run, so that they can be compared; the store of features is empty at its beginning. Of
the fine-tuning job only some epochs are run, and the time of the others is added: each as long as those run,
of which the first, which is slower, does not count.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nimakit.config import HeadConfig, read_config, read_train_config
from nimakit.features import extract
from nimakit.heads.blocks import load_blocks
from nimakit.images.files import match_images
from nimakit.io.cache import cache_folder
from nimakit.models.engine import Scorer
from nimakit.models.loading import load_model

MODELS = Path(__file__).parent.parent / "models"
HEAD = MODELS / "EfficientNetLite2" / "config_head.json"
FINE_TUNING = MODELS / "MobileNet" / "config_small_data.json"
ROUNDS = 3


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples-file", required=True, type=Path)
    parser.add_argument("--image-dir", required=True, type=Path)
    parser.add_argument("--photographs", type=int, help="only the first of them")
    parser.add_argument("--head", type=Path, default=HEAD, help="config of the head")
    parser.add_argument("--fine-tuning", type=Path, default=FINE_TUNING, help="config of the other job")
    parser.add_argument("--epochs", type=int, default=10, help="of fine-tuning that are run, at least 2")
    given = parser.parse_args()
    samples = json.loads(given.samples_file.read_text("utf-8"))[: given.photographs]
    bins = len(samples[0]["label"])
    found = match_images([sample["image_id"] for sample in samples], given.image_dir)
    paths = [path for path in found.values() if path]
    with tempfile.TemporaryDirectory(prefix="nimakit-benchmark-") as name:
        folder = Path(name)
        own_cache(folder / "cache")
        (folder / "samples.json").write_text(json.dumps(samples), "utf-8")
        (folder / "images").mkdir()
        for path in paths:
            (folder / "images" / path.name).symlink_to(path.absolute())
        head, job = train(folder, given.head, {"n_classes": bins})
        model = job / "model.onnx"
        again, _ = train(folder, given.head, {"n_classes": bins})
        keras = fine_tune(folder, given.fine_tuning, bins, given.epochs)
        rows = [
            ("features and head / fine-tuning", head / keras, f"{head:.0f} s, {keras:.0f} s"),
            ("the same job with kept features / fine-tuning", again / keras, f"{again:.0f} s"),
        ]
        for file in (folder / "cache").glob("features-*"):
            file.unlink()
        first, second = (predict(folder, model) for _ in range(2))
        rows.append(("second nimakit predict / first", second / first, f"{second:.1f} s, {first:.1f} s"))
        os.environ["NIMAKIT_FEATURES_GB"] = "0"
        rows.append(("images per second, joined model / its encoders", *compare(given.head, model, paths)))
    print(f"{len(paths)} photographs, {given.epochs} epochs run:\n\n| | ratio | |\n|---|---|---|")
    for title, ratio, times in rows:
        print(f"| {title} | {ratio:.3f} | {times} |")


def own_cache(folder: Path) -> None:
    """Use a cache folder that has the weights and encoders of the usual one, and no features."""
    folder.mkdir()
    for file in cache_folder().glob("*"):
        if not file.name.startswith("features-"):
            (folder / file.name).symlink_to(file.absolute())
    os.environ["NIMAKIT_CACHE"] = str(folder)


def train(folder: Path, config_file: Path, changes: dict[str, Any]) -> tuple[float, Path]:
    """Seconds of `nimakit train`, and the job folder."""
    config = json.loads(config_file.read_text("utf-8")) | changes
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    options = ["--config-file", folder / "config.json", "--samples-file", folder / "samples.json"]
    options += ["--image-source", folder / "images", "--jobs-dir", folder / "jobs"]
    seconds, output = run("train", *options)
    return seconds, Path(output.strip())


def fine_tune(folder: Path, config_file: Path, bins: int, epochs: int) -> float:
    """Seconds of the whole fine-tuning job, of which only some epochs are run."""
    wanted = read_train_config(config_file).epochs_train_all
    seconds, job = train(folder, config_file, {"n_classes": bins, "epochs_train_all": epochs})
    with (job / "history.csv").open(encoding="utf-8", newline="") as stream:
        each: list[float] = [float(row["seconds"]) for row in csv.DictReader(stream) if row["phase"] == "all"]
    return seconds + (wanted - epochs) * statistics.mean(each[1:])


def predict(folder: Path, model: Path) -> float:
    """Seconds of `nimakit predict`."""
    return run("predict", "--model", model, "--image-source", folder / "images")[0]


def run(*arguments: object) -> tuple[float, str]:
    """Seconds of a command, and its output."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "nimakit", *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True
    )
    return time.monotonic() - started, done.stdout


def compare(config_file: Path, model_file: Path, paths: Sequence[Path]) -> tuple[float, str]:
    """The throughput of a joined model divided by that of its encoders: the median of a few rounds."""
    config = read_config(config_file)
    assert isinstance(config, HeadConfig)  # noqa: S101 - for mypy
    encoders, model = load_blocks(config), load_model(model_file)
    ratios = []
    for _ in range(ROUNDS):
        alone = timed(lambda: extract(encoders, paths))
        joined = timed(lambda: list(Scorer(model).score(paths)))
        ratios.append(alone / joined)
    return statistics.median(ratios), " ".join(f"{ratio:.3f}" for ratio in ratios)


def timed(work: Callable[[], object]) -> float:
    """Seconds that the work takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


if __name__ == "__main__":
    main()
