"""The backup commands of docs/rate.md work while the app runs, and can be restored."""

import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from nimakit.web.settings import Settings, read_settings
from web.conftest import MakeStudy

DOCS = Path(__file__).parents[3] / "docs" / "rate.md"


def back_up(data: Path, copy: Path) -> None:
    """Run the commands of the docs."""
    [program] = re.findall(r"^python3 -c '(.*)'$", DOCS.read_text(), re.MULTILINE)
    shutil.copy2(data / "secret.key", copy)
    done = subprocess.run(
        [sys.executable, "-c", program.replace("ratings/", f"{data}/").replace("backup/", f"{copy}/")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_backup_brings_ratings_and_sessions_back(
    make_study: MakeStudy, settings: Settings, tmp_path: Path
) -> None:
    """With secret.key, sessions and links still work after restoring."""
    shared = read_settings(
        folders=settings.folders,
        data_dir=settings.data_dir,
        host="192.0.2.1",
        environment={"NIMAKIT_RATE_PASSWORD": "correct horse battery"},
    )
    study, copy = make_study(shared), tmp_path / "backup"
    copy.mkdir()
    ann = study.rater()
    first, second = study.images[:2]
    ann.rate(first.id, 4)
    back_up(settings.data_dir, copy)
    ann.rate(second.id, 2)
    link = study.services.links.personal(ann.rater)
    assert not (copy / "ratings.db-wal").exists()
    study.database.close()
    shutil.rmtree(settings.data_dir)
    shutil.copytree(copy, settings.data_dir)

    restored = make_study(
        read_settings(folders=settings.folders, data_dir=settings.data_dir, host="192.0.2.1", environment={})
    )
    assert [(rating.image_id, rating.value) for rating in restored.ratings] == [(first.id, 4)]
    name = restored.app.config["REMEMBER_COOKIE_NAME"]
    cookie = ann.client.get_cookie(name)
    assert cookie is not None
    again, elsewhere = restored.visitor(), restored.visitor()
    again.client.set_cookie(name, cookie.value)
    elsewhere.post(f"/go-on/{link}", {})
    assert again.rater.name == elsewhere.rater.name == "Ann"
    with sqlite3.connect(settings.data_dir / "ratings.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
