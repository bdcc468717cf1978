"""From photographs to a model: rating by keyboard in a real browser, export, and training."""

import json
import re
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, expect

from small_encoders import write_encoder
from small_jobs import write_photographs
from web.test_server import START, Process

COUNT = 20


def run(folder: Path, *arguments: str) -> str:
    """Run `nimakit` in a separate process and return its output."""
    done = subprocess.run(
        [sys.executable, "-c", START, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_rated_by_keyboard_trains_a_model(page: Page, tmp_path: Path) -> None:
    """A head learns from the unchanged export of twenty photographs scored by keyboard."""
    write_photographs(tmp_path / "photos", COUNT)
    app = Process(tmp_path)
    try:
        page.goto(app.address)
        expect(page.locator(".canvas img")).to_be_visible()
        for number in range(COUNT):
            expect(page.locator("main")).to_have_attribute("aria-busy", "false")
            page.keyboard.press(str(number % 10))
            expect(page.locator("#count")).to_have_text(re.compile(rf"^{number + 1} of {COUNT}"))
        expect(page.locator("#message")).to_contain_text("All done")
        expect(page.locator("#sync")).to_have_text("")
    finally:
        assert app.stop() == 0
        assert app.process.stderr is not None
        app.process.stderr.close()
    run(tmp_path, "rate", "export", "--labels", "labels.json")
    labels = json.loads((tmp_path / "labels.json").read_text())
    given = [label["label"].index(1) + 1 for label in labels]
    assert sorted(given) == sorted([*range(1, 11)] * 2)
    write_encoder(tmp_path / "encoder.onnx")
    config = {"head_only": True, "encoders": [{"name": str(tmp_path / "encoder.onnx")}], "n_classes": 10}
    (tmp_path / "config.json").write_text(json.dumps(config))
    options = {"--config-file": "config.json", "--samples-file": "labels.json", "--image-dir": "photos"}
    job = run(tmp_path, "train", *(word for option in options.items() for word in option)).strip()
    assert (Path(job) / "model.onnx").is_file()
