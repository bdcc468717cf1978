"""benchmarks/personal.py: the protocols, on small stand-ins in the formats of the data sets."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

WORKERS, TRAINERS, IMAGES = 37, 30, 240


@pytest.fixture(scope="module")
def benchmark() -> Any:
    """The script as a module."""
    path = Path(__file__).parent.parent / "benchmarks" / "personal.py"
    spec = importlib.util.spec_from_file_location("personal_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _write_flickr_aes(folder: Path) -> Path:
    """Pictures, and a file of ratings as FLICKR-AES has it, by people who like red, green or blue."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir()
    colours = random.integers(0, 256, (IMAGES, 3))
    for index, colour in enumerate(colours):
        Image.new("RGB", (8, 8), tuple(colour.tolist())).save(folder / "images" / f"farm1_{index}_ab.png")
    lines = ["worker, imagePair, score"]
    for worker in range(WORKERS + TRAINERS):
        if worker < WORKERS:
            chosen = random.permutation(IMAGES // 2)[:112]
        else:
            chosen = IMAGES // 2 + random.permutation(IMAGES // 2)[:60]
        liked = colours[chosen, worker % 3] / 255 * 4 + 1 + random.normal(0, 0.3, len(chosen))
        for image, rating in zip(chosen, np.clip(np.rint(liked), 1, 5), strict=True):
            lines.append(f"A{worker}, farm1_{image}_ab.jpg, {int(rating)}")
    path = folder / "workers.csv"
    path.write_text("\n".join(lines), "utf-8")
    return path


@pytest.mark.slow
def test_the_flickr_aes_protocol_runs(
    benchmark: Any,
    tiny_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """37 test workers, k=10 and k=100; taste that shows in the features is found by both methods."""
    path = _write_flickr_aes(tmp_path)
    arguments = ["personal.py", "flickr-aes", "--model", str(tiny_file), "--ratings-file", str(path)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--image-dir", str(tmp_path / "images"), "--seeds", "0"])
    benchmark.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    found = {(row[0], int(row[1])): float(row[2].split()[0]) for row in rows}
    assert set(found) == {(m, k) for m in ("generic", "head", "factors") for k in (10, 100)}
    for method in ("head", "factors"):
        assert found[method, 10] > found["generic", 10] + 0.1
        assert found[method, 100] > 0.85
