"""Does a model that took no part like enhanced photographs better? The table of docs/enhance.md.

    python benchmarks/enhance.py --network aesthetic --judge CONFIG --folds WORK_DIR --image-dir IMAGES

Each photograph is enhanced for the networks, and judged as `nimakit enhance --judge` does. A judge (or a
network) is a model, or a config whose cross-validated jobs `nimakit compare` left in the folder
--folds: then it is the job whose fold the photograph was kept out of, or any where it was in none;
photographs of folds that nothing was trained for are left out. As a control, the judge also sees each
photograph with the edit that another one got. Results are kept in --results, a line a photograph: a run that
was interrupted goes on.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from nimakit.enhance.adjustments import Adjustments
from nimakit.enhance.editing import ScoringModel, independent_model
from nimakit.enhance.framing import reframe
from nimakit.images.files import find_images, image_id
from nimakit.images.photo import Photo, open_photo
from nimakit.models import loading
from nimakit.nn.enhance.enhancer import Enhancer, apply
from nimakit.personal import keras_loading
from nimakit.progress import track

_SIDE = 1024
"""Longer side, in pixels, at which structural similarity is measured."""


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--network", required=True, nargs="+", metavar="MODEL|CONFIG")
    parser.add_argument("--judge", required=True, nargs="+", metavar="MODEL|CONFIG")
    parser.add_argument("--image-dir", required=True, nargs="+", type=Path)
    parser.add_argument(
        "--count",
        type=int,
        default=100,
        help="photographs of each folder, drawn at random; fewer are the first of them",
    )
    parser.add_argument("--folds", type=Path, help="the --jobs-dir of nimakit compare")
    parser.add_argument("--method", default="adjust", choices=["adjust", "gradient"])
    parser.add_argument("--epsilon", type=float)
    parser.add_argument("--frame", action="store_true")
    parser.add_argument("--results", type=Path, default=Path("enhanced.jsonl"))
    arguments = parser.parse_args()
    folds = _Folds(arguments.folds)
    photos = [photo for folder in arguments.image_dir for photo in _drawn(folder, arguments.count, folds)]
    photos.sort(key=folds.of)  # one enhancer a fold
    known = _read(arguments.results)
    settings = {
        "networks": arguments.network,
        "method": arguments.method,
        "epsilon": arguments.epsilon,
        "frame": arguments.frame,
    }
    rows = []
    enhancer: tuple[list[str], Enhancer] | None = None
    other: dict[str, Any] | None = None
    for path in track(photos, len(photos), "enhancing"):
        key = {"photo": str(path), **settings}
        row = next((row for row in known if all(row.get(name) == value for name, value in key.items())), None)
        if row is None:
            files = [folds.model(name, path) for name in arguments.network]
            if enhancer is None or enhancer[0] != files:
                tf.keras.backend.clear_session()
                networks = [keras_loading.load_keras_model(file) for file in files]
                enhancer = (
                    files,
                    Enhancer(
                        networks,
                        arguments.method,
                        epsilon=arguments.epsilon,
                        frame=arguments.frame,
                    ),
                )
            critics = {name: folds.critic(name, path) for name in (*arguments.network, *arguments.judge)}
            row = {**key, **_judged(path, enhancer[1], critics, other)}
            with arguments.results.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
        other = row["adjustments"]
        rows.append(row)
    _print(rows, arguments.network, arguments.judge)


class _Folds:
    """Cross-validated jobs, by the photographs they never saw.

    Args:
        folder: With a folder a fold, in each test.json and a folder a config; None for none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folders = sorted(folder.glob("seed_*_fold_*_of_*")) if folder else []
        self._by_id = {
            sample["image_id"]: number
            for number, fold in enumerate(self._folders)
            for sample in json.loads((fold / "test.json").read_text("utf-8"))
        }
        self._trained = [
            number
            for number, fold in enumerate(self._folders)
            if any(path.is_dir() for path in fold.iterdir())
        ]
        self._critics: dict[str, ScoringModel] = {}

    def covers(self, photo: Path) -> bool:
        """Whether there are models that never saw a photograph."""
        return self._by_id.get(image_id(photo)) in (None, *self._trained)

    def of(self, photo: Path) -> int:
        """The fold a photograph was kept out of; one by its name where it was in none."""
        some = self._trained[len(photo.name) % len(self._trained)] if self._trained else 0
        return self._by_id.get(image_id(photo), some)

    def model(self, name: str, photo: Path) -> str:
        """The model a name stands for with this photograph."""
        if not self._trained or not (self._folders[self.of(photo)] / name).is_dir():
            return name
        [run_file] = (self._folders[self.of(photo)] / name).glob("*/run.json")
        return str(run_file.with_name("model.onnx"))

    def critic(self, name: str, photo: Path) -> ScoringModel:
        """The same, to be asked for scores; loaded once."""
        file = self.model(name, photo)
        if file not in self._critics:
            self._critics[file] = independent_model(loading.load_model(file))
        return self._critics[file]


def _drawn(folder: Path, count: int, folds: _Folds) -> list[Path]:
    found = [path for path in find_images(folder) if folds.covers(path)]
    return [found[index] for index in np.random.default_rng(0).permutation(len(found))[:count]]


def _read(results: Path) -> list[dict[str, Any]]:
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text("utf-8").splitlines()]


def _judged(
    path: Path, enhancer: Enhancer, critics: dict[str, ScoringModel], other: dict[str, Any] | None
) -> dict[str, Any]:
    """Scores before and after, those with the edit of another photograph, and how much was changed."""
    photo = open_photo(path)
    picture, adjustments = enhancer.enhance(photo)
    done = adjustments or Adjustments()
    control = None
    if adjustments is not None and other is not None:
        borrowed = apply(photo, Adjustments(**{**other, "crop": tuple(other["crop"])}))
        control = {name: critic.score(Photo(borrowed)) for name, critic in critics.items()}
    return {
        "adjustments": None if adjustments is None else adjustments.to_dict(),
        "before": {name: critic.score(photo) for name, critic in critics.items()},
        "after": {name: critic.score(Photo(picture)) for name, critic in critics.items()},
        "control": control,
        "ssim": _similarity(reframe(photo, done.straighten, done.crop), Photo(picture)),
    }


def _similarity(original: Photo, edited: Photo) -> float:
    """Structural similarity (Wang et al., "Image quality assessment", 2004), of pictures in one frame."""
    width, height = edited.size
    scale = min(1.0, _SIDE / max(width, height))
    size = (round(width * scale), round(height * scale))
    one, two = (
        tf.convert_to_tensor(np.asarray(photo.resize(size, "lanczos"))) for photo in (original, edited)
    )
    return float(tf.image.ssim(one, two, 255))


def _print(rows: Sequence[dict[str, Any]], networks: Sequence[str], judges: Sequence[str]) -> None:
    print("| photographs | asked | likes it better | mean change | with the edit of another photo | SSIM |")
    print("|---|---|---|---|---|---|")
    folders = list(dict.fromkeys(str(Path(row["photo"]).parent) for row in rows))
    for folder in folders:
        own = [row for row in rows if str(Path(row["photo"]).parent) == folder]
        similarity = np.mean([row["ssim"] for row in own])
        for name in dict.fromkeys((*networks, *judges)):
            role = "" if name in networks else " (judge)"
            change = np.array([row["after"][name] - row["before"][name] for row in own])
            borrowed = [row["control"][name] - row["before"][name] for row in own if row.get("control")]
            print(
                f"| {len(own)} of {Path(folder).name} | {name}{role} | {_share(change)} |"
                f" {change.mean():+.3f} | {_share(borrowed)} | {similarity:.3f} |"
            )


def _share(changes: Iterable[float]) -> str:
    """How many rise, with the 95 % interval of Wilson, "Probable inference", 1927."""
    rises = np.array([change > 0 for change in changes])
    count = len(rises)
    if not count:
        return "-"
    share, z = float(rises.mean()), 1.96
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return f"**{100 * share:.0f} %** ({100 * (middle - reach):.0f} to {100 * (middle + reach):.0f})"


if __name__ == "__main__":
    main()
