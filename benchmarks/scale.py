"""How a run of any size compares with the run of a folder, as ratios measured in one run.

    python benchmarks/scale.py [--share 0.1] [--runs 3] [--docker] > table.md

Needs the extra ray; with --docker also docker-compose and the image nima-ray. The images are made from
data/samples. For the figures about memory and resuming a tiny model scores them, so that little but the rows
themselves costs time.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from predict import Finished, linked, make_images, row, run
from pyarrow.parquet import read_table, write_table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from samples import write_model

COMPOSE = Path(__file__).parent.parent / "deploy" / "ray" / "compose.yaml"
PREDICT = [sys.executable, "-m", "nimakit", "predict"]


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1, help="of the images and rows that are run")
    parser.add_argument("--runs", type=int, default=5, help="of which the median counts")
    parser.add_argument("--docker", action="store_true", help="also compare two worker containers with one")
    options = parser.parse_args()
    images, rows = (round(count * options.share) for count in (5000, 100_000))
    print("| what | ratio | wanted |\n|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="nimakit-benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # containers read it as another user
        small = make_images(folder / "small", images // 10, (640, 480))
        measure_throughput(folder, linked(small, folder / "many", images), options.runs)
        measure_memory(folder, small, rows)
        measure_resuming(folder, small, 5 * rows)
        if options.docker:
            one, two = (cluster_seconds(folder, small, images, workers) for workers in (1, 2))
            row("throughput: two worker containers of half a core / one", one / two, ">= 1.7")


def measure_throughput(folder: Path, images: Path, runs: int) -> None:
    """Throughput of a manifest, of one with Parquet output, and with Ray, over that of the folder's run."""
    count = len(list(images.iterdir()))
    ratios: dict[str, list[float]] = {"manifest": [], "manifest to Parquet": [], "Ray": []}
    starts = []
    for turn in range(runs):
        folder_run = [*PREDICT, "--image-source", str(images), "--predictions-file", f"{folder}/a.jsonl"]
        seconds = run(folder_run).seconds
        outputs = {"manifest": f"{folder}/{turn}.jsonl", "manifest to Parquet": f"{folder}/{turn}/"}
        for what, output in outputs.items():
            ratios[what].append(seconds / listed(folder, images, count, output).seconds)
        start = listed(folder, images, 1, f"{folder}/s{turn}.jsonl", "--engine", "ray").seconds
        whole = listed(folder, images, count, f"{folder}/r{turn}.jsonl", "--engine", "ray").seconds
        ratios["Ray"].append(seconds / (whole - start))
        starts.append(start / seconds)
    for what, found in ratios.items():
        wanted = ">= 0.85, without its start" if what == "Ray" else ">= 0.95"
        row(f"throughput of {count} images: {what} / folder", statistics.median(found), wanted)
    row("start and end of Ray / run of the folder", statistics.median(starts), "stated")


def measure_memory(folder: Path, images: Path, rows: int) -> None:
    """Peak memory of many rows over that of a tenth of them."""
    few, many = (tiny(folder, images, count, f"m{count}") for count in (rows // 10, rows))
    row(f"peak memory: {rows} rows / {rows // 10}", many.mebibytes / few.mebibytes, "<= 1.3")


def measure_resuming(folder: Path, images: Path, rows: int) -> None:
    """Seconds of a run that finds many rows in its output and scores one more, and its peak memory."""
    first = tiny(folder, images, 1, "done")
    [part] = (folder / "done").glob("*.parquet")
    table = read_table(part)
    columns = {"id": pa.array([str(number) for number in range(rows)])}
    others = table.schema.names[1:]
    columns |= {name: pa.repeat(table.column(name)[0], rows) for name in others}
    write_table(pa.table(columns, schema=table.schema), part)
    again = tiny(folder, images, rows + 1, "done", "--resume")
    if json.loads(again.output)["scored"] != 1:
        raise SystemExit(f"it must score one image; it printed {again.output}")
    print(f"| seconds, resuming after {rows} rows and scoring one more | {again.seconds:.1f} | < 30 |")
    row("peak memory: resuming / scoring one image", again.mebibytes / first.mebibytes, "stated")


def tiny(folder: Path, images: Path, rows: int, output: str, *options: str) -> Finished:
    """Score a manifest with a tiny model, into a folder of Parquet parts."""
    model = folder / "tiny.onnx"
    if not model.exists():
        write_model(model)
    return listed(folder, images, rows, f"{folder}/{output}/", "--model", str(model), *options)


def cluster_seconds(folder: Path, images: Path, rows: int, workers: int) -> float:
    """Seconds that a manifest takes on the cluster of deploy/ray, less those of a single row."""
    mounts = folder / "mounts.yaml"
    service = {"volumes": [f"{folder}:{folder}:ro"]}
    mounts.write_text(json.dumps({"services": {"head": service, "worker": service}}), encoding="utf-8")
    compose = ["docker-compose", "--project-name", "nimakit-benchmark", "--file", str(COMPOSE)]
    compose += ["--file", str(mounts)]
    try:
        run([*compose, "up", "--detach", "--scale", f"worker={workers}"])
        joined = f"until ray status 2>/dev/null | grep -q '/{workers}.0 CPU'; do sleep 1; done"
        run([*compose, "exec", "-T", "head", "bash", "-c", joined])
        predict = [*compose, "exec", "-T", "head", "nimakit", "predict", "--ray-address", "auto"]
        listed(folder, images, workers, "/tmp/start.jsonl", "--engine", "ray", predict=predict)  # noqa: S108
        # Only now, for a node does not start within Ray's 15 s on half a core.
        names = run([*compose, "ps", "--quiet", "worker"]).output.split()
        run(["docker", "update", "--cpus", "0.5", *names])
        seconds = [
            listed(folder, images, count, f"/tmp/{count}.jsonl", "--engine", "ray", predict=predict).seconds  # noqa: S108
            for count in (1, rows)
        ]
    finally:
        run([*compose, "down", "--timeout", "1"])
    return seconds[1] - seconds[0]


def listed(
    folder: Path, images: Path, rows: int, output: str, *options: str, predict: Sequence[str] = PREDICT
) -> Finished:
    """Score a manifest that names the images over and over."""
    manifest = folder / f"{rows}.csv"
    paths = sorted(images.iterdir())
    lines = (f"{number},{paths[number % len(paths)]}\n" for number in range(rows))
    manifest.write_text("id,image\n" + "".join(lines), encoding="utf-8")
    source = ["--image-source", str(manifest), "--id-column", "id", "--predictions-file", output]
    return run([*predict, *source, *options])


if __name__ == "__main__":
    main()
