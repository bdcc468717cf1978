"""How long the first score takes on a fresh machine, and its size on the disk, against an earlier commit.

    python benchmarks/first_score.py [--before COMMIT] [--docker] > table.md

Each row has a fresh clone, a fresh environment and an empty cache, and scores one photograph of data/samples.
Packages come from the package registry that pip is set up with, so the seconds depend on the network. Both
commits are measured in the same run, and the ratio is what counts. With --docker the base image must be there
already. Images are built without Docker's cache, under names of their own, and removed again.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PHOTO = Path("data") / "samples" / "courtyard.jpg"
BEFORE = "e438863"
MEGABYTE = 1_000_000


def main() -> None:
    """Measure both commits, and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", default=BEFORE, help=f"the earlier commit  [default: {BEFORE}]")
    parser.add_argument("--docker", action="store_true", help="measure image builds too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nimakit-first-") as name:
        folder = Path(name)
        before, after = clone(folder / "before", options.before), clone(folder / "after", "HEAD")
        print("| first score | before | now | ratio | on disk before | now |")
        print("|---|---|---|---|---|---|")
        report("`./predict`, without Docker", native(before), native(after))
        report("`pip install .`, then `nimakit predict`", None, installed(after))
        if options.docker:
            report("`./predict`, in Docker", contained(before, "cpu"), contained(after, "light"))


def report(what: str, before: tuple[float, int] | None, after: tuple[float, int]) -> None:
    """One row: seconds and bytes, with the share of the seconds that is left."""
    seconds, size = after
    if before is None:
        print(f"| {what} | not possible | {seconds:.0f} s | | | {size / MEGABYTE:.0f} MB |", flush=True)
        return
    print(
        f"| {what} | {before[0]:.0f} s | {seconds:.0f} s | {seconds / before[0]:.2f} |"
        f" {before[1] / MEGABYTE:.0f} MB | {size / MEGABYTE:.0f} MB |",
        flush=True,
    )


def clone(folder: Path, commit: str) -> Path:
    """A fresh clone of a commit."""
    run(["git", "clone", "--quiet", str(REPOSITORY), str(folder)])
    run(["git", "-C", str(folder), "checkout", "--quiet", commit])
    return folder


def native(repository: Path) -> tuple[float, int]:
    """Seconds of the first ./predict without Docker, and bytes of its environment and cache."""
    cache = repository / "fresh-cache"
    seconds = run(
        [str(repository / "predict"), "--image-source", str(repository / PHOTO)],
        NIMAKIT_RUNTIME="native",
        NIMAKIT_CACHE=str(cache),
    )
    return seconds, size(repository / ".venv") + size(cache)


def installed(repository: Path) -> tuple[float, int]:
    """Seconds of `pip install .` and one score, and bytes of the environment and cache."""
    environment, cache = repository / "environment", repository / "second-cache"
    seconds = run([sys.executable, "-m", "venv", str(environment)])
    seconds += run([str(environment / "bin" / "pip"), "install", "--quiet", str(repository)])
    command = [str(environment / "bin" / "nimakit"), "predict", "--image-source", str(repository / PHOTO)]
    seconds += run(command, NIMAKIT_CACHE=str(cache))
    return seconds, size(environment) + size(cache)


def contained(repository: Path, kind: str) -> tuple[float, int]:
    """Seconds of an image build and one score in it, and bytes of the image."""
    image = f"nimakit-first-{kind}"
    build = ["docker", "build", "--no-cache", "--quiet", "--file", str(repository / f"Dockerfile.{kind}")]
    seconds = run([*build, "--tag", image, str(repository)])
    mount = f"{repository / 'data' / 'samples'}:/photos:ro"
    score = ["docker", "run", "--rm", "--network", "none", "--volume", mount, image]
    seconds += run([*score, "--image-source", f"/photos/{PHOTO.name}"])
    inspect = ["docker", "image", "inspect", "--format", "{{.Size}}", image]
    taken = int(subprocess.run(inspect, check=True, capture_output=True, text=True).stdout)
    run(["docker", "image", "rm", image])
    return seconds, taken


def run(command: Sequence[str], **environment: str) -> float:
    """Seconds of a command, which must succeed; what it prints goes to stderr."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=sys.stderr, env={**os.environ, **environment})
    return time.perf_counter() - started


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
