"""The admin who uploads pictures, and zip files of them."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from nimakit.web.db.tables import Collection
from web.study import JSON, Study

PART = 700


class Uploader:
    """The admin, who uploads into a collection."""

    def __init__(self, study: Study, name: str = "My photos") -> None:
        self.study = study
        self.admin = study.visitor()
        self.address = self.admin.post("/collections/upload", {"name": name}).location
        self.token = self.admin.token()

    @property
    def collection(self) -> Collection:
        """The collection."""
        with self.study.database.read() as session:
            slug = self.address.split("/")[2]
            return session.scalars(select(Collection).where(Collection.slug == slug)).one()

    @property
    def files(self) -> list[str]:
        """What is in its folder, without what is incomplete."""
        root = Path(self.collection.folder)
        found = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        return sorted(path for path in found if not path.startswith(".upload"))

    def offer(self, *files: tuple[str, int]) -> list[dict[str, Any]]:
        """Offer files."""
        answer = self.admin.post_json(f"{self.address}/offer", {"files": files}, self.token)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json["files"]  # type: ignore[index]
        return found

    def part(self, name: str, size: int, offset: int, content: bytes) -> Any:
        """Send a part; the status and the answer."""
        answer = self.admin.client.post(
            f"{self.address}/part",
            query_string={"name": name, "size": size, "offset": offset},
            data=content,
            headers={**JSON, "X-CSRFToken": self.token, "Content-Type": "application/octet-stream"},
        )
        return answer.status_code, answer.json

    def send(self, name: str, content: bytes) -> Any:
        """Send a file in parts; the last answer."""
        answer: Any = None
        for offset in range(0, len(content), PART):
            status, answer = self.part(name, len(content), offset, content[offset : offset + PART])
            assert status == 200, answer
        return answer

    def unpack(self, name: str, content: bytes, start: int = 0) -> Any:
        """Send a zip file, and unpack it."""
        assert self.send(name, content) == {"state": "zip"}
        body = {"name": name, "size": len(content), "start": start}
        answer = self.admin.post_json(f"{self.address}/unpack", body, self.token)
        return answer.status_code, answer.json


def zipped(entries: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] | None = None) -> bytes:
    """A zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            if change:
                change(entry)
            archive.writestr(entry, content)
    return stream.getvalue()
