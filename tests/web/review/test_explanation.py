"""What "Why this score" on a picture's page does: who may ask, and what they are shown."""

import json
import os
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import nimakit
from nimakit.web.review.explanation_jobs import Explainer
from web.conftest import MakeStudy, Serve
from web.review.test_explanation_jobs import DRAWS, FAILS
from web.study import Study, Visitor


@pytest.fixture
def study(make_study: MakeStudy, tiny_file: Path, tmp_path: Path) -> Study:
    """A study with a model, where a script draws at once."""
    study = make_study(experiment="rate", model=str(tiny_file))
    draw_by(study, tmp_path, DRAWS)
    (tmp_path / "go").touch()
    return study


def draw_by(study: Study, folder: Path, script: str) -> None:
    """Have a script draw what models look at."""
    command = (sys.executable, "-c", script.format(here=str(folder)))
    found = Explainer(folder / "data" / "explanations", command=command)
    object.__setattr__(study.services, "explainer", found)


def why(visitor: Visitor, image: int, part: str = "") -> str:
    """Where to ask."""
    return visitor.address(f"ratings/{image}/why{part}")


def finish(study: Study, visitor: Visitor, image: int) -> None:
    """Wait for what was asked for."""
    place = visitor.get_json(why(visitor, image))
    while place["state"] == "working":
        time.sleep(0.02)  # what draws has a low priority, and would wait behind questions without a pause
        place = visitor.get_json(why(visitor, image))
    assert place["state"] in ("ready", "failed"), place


def test_the_admin_asks_and_is_shown(study: Study) -> None:
    """The answer comes at once, the picture later; before, there is none."""
    admin, image = study.visitor(), study.images[1].id
    assert admin.get_json(why(admin, image)) == {"state": "none", "reason": "", "picture": None}
    assert admin.get(why(admin, image, "/picture")).status_code == 404
    answer = admin.post_json(why(admin, image), {})
    assert (answer.json or {})["state"] in ("working", "ready")
    finish(study, admin, image)
    ready = admin.get_json(why(admin, image))
    assert ready == {"state": "ready", "reason": "", "picture": why(admin, image, "/picture")}
    answer = admin.get(ready["picture"])
    assert (answer.status_code, answer.mimetype) == (200, "image/png")
    assert answer.data.startswith(b"\x89PNG")


def test_raters_see_it_of_what_they_rated(study: Study) -> None:
    """Before, it would sway them; blind, they see no model at all."""
    study.set(blind=False)
    ann, image = study.rater("Ann"), study.images[1].id
    addresses = (why(ann, image), why(ann, image, "/picture"))
    assert [ann.get(address).status_code for address in addresses] == [404, 404]
    assert ann.post_json(addresses[0], {}).status_code == 404
    ann.rate(image, 7)
    assert ann.post_json(addresses[0], {}).status_code == 200
    finish(study, ann, image)
    assert ann.get(addresses[1]).status_code == 200
    assert 'id="why"' in ann.get(ann.address(f"ratings/{image}")).text
    study.set(blind=True)
    assert [ann.get(address).status_code for address in addresses] == [404, 404]
    assert 'id="why"' not in ann.get(ann.address(f"ratings/{image}")).text


def test_strangers_and_forged_requests_start_nothing(study: Study, tmp_path: Path) -> None:
    """A session and a token are needed, and the picture must be one of the collection."""
    visitor, image = study.visitor(), study.images[1].id
    assert visitor.client.post(why(visitor, image)).status_code == 400
    assert visitor.post_json(why(visitor, 10**6), {}).status_code == 404
    assert visitor.get(why(visitor, 10**6)).status_code == 404
    assert not (tmp_path / "started").exists()


def test_without_a_model_there_is_nothing_to_ask(study: Study) -> None:
    """And no panel that says otherwise."""
    study.set(model=None)
    visitor, image = study.visitor(), study.images[1].id
    assert visitor.get(why(visitor, image)).status_code == 404
    assert 'id="why"' not in visitor.get(visitor.address(f"ratings/{image}")).text


def test_a_picture_that_is_gone_is_said_to_be(study: Study) -> None:
    """Nothing is started for it."""
    image = study.images[1]
    (study.folder / image.path).unlink()
    answer = study.visitor().post_json(why(study.visitor(), image.id), {})
    assert "no longer in the folder" in json.dumps(answer.json)


def test_only_the_admin_is_told_what_went_wrong(study: Study, tmp_path: Path) -> None:
    """It may name folders."""
    draw_by(study, tmp_path, FAILS)
    study.set(blind=False)
    admin, ann, image = study.visitor(), study.rater("Ann"), study.images[1].id
    ann.rate(image, 7)
    admin.post_json(why(admin, image), {})
    finish(study, admin, image)
    assert admin.get_json(why(admin, image))["reason"] == "No such model. Received: x"
    assert "the admin can see why" in ann.get_json(why(ann, image))["reason"]


def test_the_page_shows_it_when_it_is_there(study: Study, serve: Serve, page: Page) -> None:
    """A click, a moment, a picture; what can be read aloud says what it is."""
    image = study.images[1].id
    page.goto(serve(study) + study.visitor().address(f"ratings/{image}")[1:])
    page.get_by_role("button", name="Show").click()
    drawn = page.locator("#why img")
    expect(drawn).to_be_visible()
    expect(drawn).to_have_js_property("complete", value=True)
    assert drawn.evaluate("picture => picture.naturalWidth") > 0
    expect(page.locator("#why button")).to_be_hidden()
    assert "lower" in (drawn.get_attribute("alt") or "")


def test_the_page_says_what_went_wrong(study: Study, serve: Serve, page: Page, tmp_path: Path) -> None:
    """And lets one try again."""
    draw_by(study, tmp_path, FAILS)
    page.goto(serve(study) + study.visitor().address(f"ratings/{study.images[1].id}")[1:])
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#why [role=status]")).to_have_text("No such model. Received: x")
    expect(page.locator("#why button")).to_be_enabled()


@pytest.mark.slow
def test_the_real_command_explains(
    make_study: MakeStudy, tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model file, in a process of its own, where neither TensorFlow nor Matplotlib can be imported."""
    for name in ("tensorflow", "keras", "matplotlib"):
        (tmp_path / f"{name}.py").write_text("raise ImportError", encoding="utf-8")
    package = Path(nimakit.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(package)]))
    study = make_study(experiment="rate", model=str(tiny_file))
    visitor, image = study.visitor(), study.images[1].id
    visitor.post_json(why(visitor, image), {})
    finish(study, visitor, image)
    ready = visitor.get_json(why(visitor, image))
    assert ready["state"] == "ready", ready
    assert visitor.get(ready["picture"]).data.startswith(b"\x89PNG")
