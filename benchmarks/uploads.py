"""How much longer a rating takes while the admin uploads photographs, and they are checked.

    python benchmarks/uploads.py [--database URL] [--ratings N] [--raters N] > table.md

The load of benchmarks/rate.py, each rater about once a second, by turns without and with a browser that
uploads 12-megapixel photographs one after the other.
"""

import argparse
import io
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from multiprocessing import Process

import httpx
import numpy as np
from PIL import Image as Pillow
from rate import measure

from nimakit.web.collections.uploads import PART

SIDES = 4000, 3000
TURNS = 2


def main() -> None:
    """Rate with and without uploads, and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", help="postgresql://USER@HOST/postgres  [default: SQLite]")
    parser.add_argument("--ratings", type=int, default=2000)
    parser.add_argument("--raters", type=int, default=50)
    given = parser.parse_args()
    print("| uploads | ratings | a second | p50 | p95 | p99 | sent again | lost | doubled |")
    print("|---|---|---|---|---|---|---|---|---|")
    for _ in range(TURNS):
        for name in ("no", "yes"):
            report = measure(
                given.database,
                ratings=given.ratings,
                raters=given.raters,
                seconds=1.0,
                meanwhile=uploading if name == "yes" else nullcontext,
            )
            print(f"| {name} | {report} |", flush=True)


@contextmanager
def uploading(address: str) -> Iterator[None]:
    """Upload in a process of its own, as a browser on another machine would."""
    process = Process(target=upload, args=(address,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def upload(address: str) -> None:
    """Upload photographs until the process is ended."""
    content = photograph()
    with httpx.Client(
        base_url=f"http://{address}", headers={"Accept": "application/json"}, timeout=60
    ) as admin:
        token = admin.get("/session").json()["csrf"]
        page = admin.post("/collections/upload", data={"name": "Holiday", "csrf_token": token})
        admin.headers["X-CSRFToken"] = token
        for number in count():
            for offset in range(0, len(content), PART):
                answer = admin.post(
                    f"{page.headers['Location']}/part",
                    params={"name": f"{number}.jpg", "size": len(content), "offset": offset},
                    content=content[offset : offset + PART],
                )
                answer.raise_for_status()


def photograph() -> bytes:
    """A JPEG of a few megabytes."""
    noise = np.random.default_rng(0).integers(0, 256, (SIDES[1] // 4, SIDES[0] // 4, 3), np.uint8)
    file = io.BytesIO()
    Pillow.fromarray(noise).resize(SIDES).save(file, "jpeg", quality=92)
    return file.getvalue()


if __name__ == "__main__":
    main()
