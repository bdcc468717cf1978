"""How fast a whole training job is, beside plain Keras on the same data, config and epochs.

    python benchmarks/train.py --samples-file LABELS --image-dir IMAGES [--config-file CONFIG] [--runs N]

Both start from the public NIMA weights and keep the same images back for validation. Ours is `nimakit train`,
from its start to the finished job folder, with the export, the evaluation and the report the plain way lacks.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nimakit.labels.label_file import read_labels
from nimakit.models import pretrained
from nimakit.training.labelled_set import split

HERE = Path(__file__).parent
CONFIG = HERE.parent / "models" / "MobileNet" / "config_aesthetic_cpu.json"


@dataclass(frozen=True)
class Finished:
    """One whole job: its seconds, and its EMD on the validation set."""

    seconds: float
    emd: float
    emd_r2: float


def main() -> None:
    """Run both ways in turn and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples-file", required=True, type=Path)
    parser.add_argument("--image-dir", required=True, type=Path)
    parser.add_argument("--config-file", type=Path, default=CONFIG)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    labels = read_labels(arguments.samples_file)
    if labels.histograms is None:
        parser.error("the samples need labels")
    config = json.loads(arguments.config_file.read_text("utf-8"))
    config |= {"existing_weights": "aesthetic", "n_classes": labels.histograms.shape[1]}
    with tempfile.TemporaryDirectory(prefix="nimakit-benchmark-") as name:
        folder = Path(name)
        config_file = folder / "config.json"
        config_file.write_text(json.dumps(config), "utf-8")
        parts = split(len(labels.image_ids), config.get("validation_split", 0.05), config.get("seed", 0))
        for part, indices in parts.items():
            (folder / f"{part}.json").write_text(json.dumps(indices), "utf-8")
        pairs = []
        for _ in range(arguments.runs):
            plain = run_plain(folder, config_file, arguments.samples_file, arguments.image_dir)
            ours = run_ours(folder, config_file, arguments.samples_file, arguments.image_dir)
            pairs.append((plain, ours))
            print(plain, ours, file=sys.stderr, flush=True)
    report(pairs)


def run_plain(folder: Path, config_file: Path, samples_file: Path, image_dir: Path) -> Finished:
    """The plain way, in a process of its own."""
    output = folder / "plain.json"
    inputs = [config_file, samples_file, image_dir, pretrained.fetch_weights("aesthetic")]
    files = [*inputs, folder / "training.json", folder / "validation.json", output]
    seconds = timed([sys.executable, str(HERE / "plain_training.py"), *map(str, files)])
    figures: dict[str, Any] = json.loads(output.read_text("utf-8"))
    return Finished(seconds, figures["emd"], figures["emd_r2"])


def run_ours(folder: Path, config_file: Path, samples_file: Path, image_dir: Path) -> Finished:
    """`nimakit train`."""
    jobs = Path(tempfile.mkdtemp(dir=folder))
    command = [sys.executable, "-m", "nimakit", "train", "--config-file", str(config_file)]
    command += ["--samples-file", str(samples_file), "--image-dir", str(image_dir), "--jobs-dir", str(jobs)]
    seconds = timed(command)
    [metrics_file] = jobs.glob("*/metrics.json")
    figures = json.loads(metrics_file.read_text("utf-8"))["validation"]
    return Finished(seconds, figures["emd"], figures["emd_r2"])


def timed(command: list[str]) -> float:
    """Seconds a command takes."""
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=sys.stderr)
    return time.monotonic() - started


def report(pairs: list[tuple[Finished, Finished]]) -> None:
    """Ratios of each pair of runs, and the median."""
    ratios = [plain.seconds / ours.seconds for plain, ours in pairs]
    print("| plain Keras / nimakit | each pair | median |")
    print("|---|---|---|")
    each = " ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"| time of the whole job | {each} | **{statistics.median(ratios):.2f}** |")
    for name in ("emd", "emd_r2"):
        values = [(getattr(plain, name), getattr(ours, name)) for plain, ours in pairs]
        each = " ".join(f"{plain:.4f}/{ours:.4f}" for plain, ours in values)
        print(f"| validation {name} of both | {each} | |")


if __name__ == "__main__":
    main()
