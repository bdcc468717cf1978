"""Cross-validated accuracy of training configs on a labelled set: the tables of docs/accuracy.md.

    python benchmarks/accuracy.py --samples-file LABELS --image-dir IMAGES CONFIG [CONFIG ...]

Each config is trained on every fold but one and scored on that one, with `nimakit train` as a user runs it.
Several configs are also averaged, as `nimakit predict --model A --model B` does. What was trained is kept in
--work-dir: a run that was interrupted goes on, and another config can be added later.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nimakit.jobs import Job
from nimakit.labels.label_file import read_labels
from nimakit.models import loading
from nimakit.scoring.evaluation import evaluate
from nimakit.scoring.items import list_items
from nimakit.scoring.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Fold:
    """One part of the set.

    Attributes:
        folder: Where its label files and its jobs are.
        training: Label file of all the others.
        test: Label file of its own.
    """

    folder: Path
    training: Path
    test: Path


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("configs", nargs="+", type=Path, metavar="CONFIG")
    parser.add_argument("--samples-file", required=True, type=Path)
    parser.add_argument("--image-dir", required=True, type=Path)
    parser.add_argument("--work-dir", type=Path, default=Path("train_jobs/cross_validation"))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", type=int, nargs="*", help="these folds alone, from 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tta", default="flips", choices=["none", "flips", "crops"])
    arguments = parser.parse_args()
    folds = _folds(arguments.samples_file, arguments.work_dir, arguments.folds, arguments.seed)
    chosen = [folds[number] for number in arguments.only] if arguments.only else folds
    rows: dict[str, list[Metrics]] = {}
    for fold in chosen:
        models = {
            _name(config): [_trained(config, fold, arguments.image_dir)] for config in arguments.configs
        }
        if len(models) > 1:
            models["all averaged"] = [file for files in models.values() for file in files]
        items = list_items(arguments.image_dir, read_labels(fold.test))
        for name, files in models.items():
            model = loading.load_models([str(file) for file in files])
            metrics = evaluate(model, items, tta=arguments.tta).metrics
            rows.setdefault(name, []).append(metrics)
            print(f"{fold.folder.name}: {name}: {metrics}", file=sys.stderr, flush=True)
    _print(rows)


def _folds(samples_file: Path, work_dir: Path, count: int, seed: int) -> list[Fold]:
    """Parts of equal size, drawn at random; with their label files."""
    read_labels(samples_file)
    samples: list[dict[str, Any]] = json.loads(samples_file.read_text("utf-8"))
    parts = np.array_split(np.random.default_rng(seed).permutation(len(samples)), count)
    folds = []
    for number, part in enumerate(parts):
        folder = work_dir / f"seed_{seed}_fold_{number}_of_{count}"
        folder.mkdir(parents=True, exist_ok=True)
        own = set(part.tolist())
        fold = Fold(folder, folder / "training.json", folder / "test.json")
        for path, inside in ((fold.training, False), (fold.test, True)):
            rows = [sample for index, sample in enumerate(samples) if (index in own) is inside]
            path.write_text(json.dumps(rows), "utf-8")
        folds.append(fold)
    return folds


def _name(config: Path) -> str:
    return f"{config.parent.name}/{config.stem}"


def _trained(config: Path, fold: Fold, image_dir: Path) -> Path:
    """The model of a config without one fold: of an earlier run, or trained now. New code: a new folder."""
    jobs = fold.folder / _name(config).replace("/", "_")
    for job in (Job.open(file.parent) for file in sorted(jobs.glob("*/run.json"))):
        same = job.config_file.read_bytes() == config.read_bytes()
        if same and job.samples_file.read_bytes() == fold.training.read_bytes():
            _train(["--resume", str(job.folder)])
            return job.model_file
    options = ["--config-file", str(config), "--samples-file", str(fold.training)]
    return _train([*options, "--image-dir", str(image_dir), "--jobs-dir", str(jobs)]) / "model.onnx"


def _train(options: list[str]) -> Path:
    command = [sys.executable, "-m", "nimakit", "train", *options]
    return Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def _print(rows: dict[str, list[Metrics]]) -> None:
    print("| config | SRCC of each fold | median | mean | LCC | EMD |")
    print("|---|---|---|---|---|---|")
    for name, metrics in rows.items():
        srcc = [value.srcc_mean or 0.0 for value in metrics]
        each = " ".join(f"{value:.3f}" for value in srcc)
        print(
            f"| {name} | {each} | **{np.median(srcc):.3f}** | {np.mean(srcc):.3f}"
            f" | {_median(value.lcc_mean for value in metrics)} | {_median(value.emd for value in metrics)} |"
        )


def _median(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.median(known):.3f}" if known else "-"


if __name__ == "__main__":
    main()
