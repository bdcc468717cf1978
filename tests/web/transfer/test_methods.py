"""What an export says of itself: methods for a paper, a data dictionary, the description of a package."""

import io
import json
import re
import zipfile

import pytest

from nimakit.web.db.tables import Checks, now
from nimakit.web.rating.checks import DEFAULTS
from web.conftest import MakeStudy
from web.studies.conftest import PROLIFIC, TEXTS, Way
from web.study import Study, Visitor


def methods(visitor: Visitor) -> str:
    """The file methods.md."""
    answer = visitor.get(visitor.address("transfer/methods.md"))
    assert answer.status_code == 200, answer.text
    return answer.text


def check(study: Study, **values: object) -> None:
    """Set the checks of the collection."""
    study.change(
        lambda session: session.merge(Checks(collection_id=study.collection.id, **{**DEFAULTS, **values}))
    )


def test_methods_are_written_from_settings_and_answers(study: Study, visitor: Visitor) -> None:
    """Raters, scale, order, numbers and agreement; nothing is said of what is not set."""
    study.set(question="How calm?", wanted=3, repeats=0.1, high_label="calm")
    ann, ben = study.rater(), study.rater()
    for image in study.images[:3]:
        ann.rate(image.id, 3 + image.id)
        ben.rate(image.id, 2 + image.id)
    ann.rate(study.images[0].id, 9, round=1)
    ben.send({"kind": "skip", "image": study.images[4].id})
    text = methods(visitor)
    for part in (
        "In all, 2 raters took part.",
        "The material was 6 photographs, which were rated one at a time. The question was “How calm?” The",
        "to 10 (“calm”)",
        "in a random order",
        "no longer shown once it had 3 ratings",
        "about 10 % of the photographs a second time",
        "The data are 6 ratings by 2 raters, given on ",
        "there were 1 skip and 1 repeat, which",
        "2.0 ratings on average (from 2 to 2)",
        "Krippendorff's alpha for interval data was 0.",
        "ICC(1,k) = ",
    ):
        assert part in text, part
    assert re.search("exclu|consent|gold|attention check|Prolific", text.partition("## Data")[0]) is None
    visitor.post(visitor.address(f"people/{ben.rater.id}"), {"excluded": "1"})
    assert "The researchers excluded 1 rater with 3 ratings." in methods(visitor)


def test_methods_tell_how_a_study_was_run(study: Study) -> None:
    """Platform, consent, practice, places, checks and exclusions, with numbers; but no platform id."""
    way = Way(study)
    way.save(**TEXTS, platform="prolific", quota="2", places="9", minutes="30")
    gold = way.study.images[3]
    way.admin.post(way.admin.address(f"checks/gold/{gold.id}"), {"low": "9", "high": "10"})
    check(way.study, attention_every=5, excludes=True, gold_misses=1, same_share=None, fast_ms=None)
    people = [way.join(PROLIFIC.format(number))[0] for number in range(3)]
    way.save(**{**TEXTS, "consent": "New."}, platform="prolific", quota="2", places="9", minutes="30")
    people.append(way.join(PROLIFIC.format(3))[0])
    way.change(read_at=now(), ready_at=now())
    for person, value in zip(people, (9, 10, 1, 1), strict=True):
        person.rate(gold.id, value)
    people[0].send({"kind": "check", "check": 1, "image": gold.id, "value": None})
    way.study.services.background.once()
    way.admin.post(way.admin.address(f"people/{people[3].rater.id}"), {"excluded": "0"})
    text = methods(way.admin)
    for part in (
        "In all, 4 raters took part, and 0 of them finished. They were recruited on Prolific. The study had 9"
        " places. A rater who had not finished after 30 minutes could lose",
        "each rater agreed to a consent form, read instructions with 1 example photograph, and practised on 2"
        " tasks, with feedback after each answer. The practice could be repeated. To go on, raters needed 1"
        " right answer in a round. Version 1 of these texts was shown to 3 raters and version 2 to 1 rater;",
        "The material was 3 photographs",
        "Each rater was asked for 2 ratings.",
        "Raters could not skip photographs.",
        "Among the photographs, at most 10 apart, each rater was shown 1 gold photograph, whose right rating"
        " was known (set by the researchers). After every 5 photographs, an attention check asked for a"
        " certain rating in place of the question",
        "Raters passed 0 of 1 attention check in all.",
        "Raters were excluded if they missed 1 or more and at least half of the gold photographs,"
        " without those that more than a tenth of 20 or more raters who agreed with the others missed,"
        " missed 2 or more and at least half of the attention checks,"
        " or agreed with the others no better than chance, according to the likelihood ratio of careful to"
        " random answering (checks included; at least 20 ratings). This rule excluded 1 rater with 1 rating."
        " The researchers included 1 rater whom the rule had excluded.",
    ):
        assert part in text, part
    assert len(way.admin.table("pictures.csv")) == 3
    assert "5f0a" not in text
    assert "61b2" not in text


def test_methods_describe_a_best_worst_design(make_study: MakeStudy) -> None:
    """Sets, their choice, and how they become scores."""
    study = make_study(experiment="best-worst", choices="5", ordering="active")
    shown = [image.id for image in study.images[:5]]
    visitor = study.visitor()
    visitor.send({"kind": "choice", "image": shown[0], "worst": shown[1], "trial": "t", "shown": shown})
    text = methods(visitor)
    assert (
        "compared in sets of 5: raters chose the best and the worst of each set (best-worst scaling" in text
    )
    assert "The design was balanced and connected" in text
    assert "(Mikhailiuk et al., 2020). Raters did not see the names of the files." in text
    assert "decides 7 of the 10 pairs of a set, which have a weight of 4/7 each" in text


@pytest.mark.parametrize("experiment", ["score", "preference"])
def test_each_file_and_column_is_described(make_study: MakeStudy, experiment: str) -> None:
    """In the data dictionary and in the package's description, of every file that the page offers."""
    study = make_study(experiment=experiment)
    way = Way(study)
    first, second = study.images[:2]
    way.save(consent="Yes.", quota="3")
    rater, _ = way.join()
    if experiment == "preference":
        rater.send({"kind": "tie", "trial": "one", "shown": [first.id, second.id]})
    else:
        rater.rate(first.id, 3)
    names = re.findall(r'/transfer/([\w.-]+)"', way.admin.get(way.admin.address("transfer")).text)
    files = {name: way.admin.get(way.admin.address(f"transfer/{name}")).data for name in names}
    package = zipfile.ZipFile(io.BytesIO(files["package.zip"]))
    about = json.loads(package.read("datapackage.json"))
    described = {
        one["path"]: [field["name"] for field in one.get("schema", {}).get("fields", [])]
        for one in about["resources"]
    }
    assert {*package.namelist()} == {*described, "methods.md", "datapackage.json"}
    assert {*package.namelist()} - {"datapackage.json"} == {
        name for name in names if not name.endswith((".jsonl", ".zip"))
    }
    text = files["methods.md"].decode()
    for name, content in files.items():
        assert f"| {name} | " in text
        if name.endswith((".csv", ".jsonl")):
            line = content.decode().splitlines()[0]
            columns = line.split(",") if name.endswith(".csv") else [*json.loads(line)]
            section = next(part for part in text.split("### ")[1:] if name in part.partition("\n")[0])
            assert re.findall(r"^\| (\w+) \| \w+ \| \S", section, re.MULTILINE)[1:] == columns
            assert described.get(name, columns) == columns
    assert {"participants.csv", "raters.csv"} <= {*names}
