"""Somebody who rates over HTTP, as a browser does."""

import re
import secrets
import time
from typing import Any

import httpx


class Rater:
    """Somebody who rates a collection called photos.

    Args:
        address: The app's.
        password: The admin's, where one has to sign in.
    """

    def __init__(self, address: str, password: str | None = None) -> None:
        self.client = httpx.Client(
            base_url=address, headers={"Accept": "application/json"}, timeout=30, trust_env=False
        )
        if password is not None:
            self._sign_in(password)
        session = self.client.get("/session").raise_for_status().json()
        self.code = session["rater"]
        self.client.headers["X-CSRFToken"] = session["csrf"]

    def __enter__(self) -> "Rater":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def _sign_in(self, password: str) -> None:
        page = self.client.get("/login", headers={"Accept": "text/html"}).text
        token = re.findall(r'name="csrf-token" content="([^"]+)"', page)[0]
        answer = self.client.post("/login", data={"csrf_token": token, "password": password})
        assert answer.status_code == 302, answer.text

    def images(self) -> list[int]:
        """What comes next, once the folder was looked through."""
        for _ in range(300):
            items = self._deck()["items"]
            if items:
                return [item["id"] for item in items]
            time.sleep(0.1)
        raise AssertionError("there is nothing to rate")

    def history(self) -> dict[int, Any]:
        """The last pictures, and what was said of them."""
        return {item["id"]: item["value"] for item in self._deck()["history"]}

    def rate(self, image: int, value: int) -> bool:
        """Rate a picture; whether that was acknowledged."""
        try:
            answer = self.send(image, value)
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and len(answer.json()["accepted"]) == 1

    def send(self, image: int, value: int) -> httpx.Response:
        """Rate a picture; what the app says."""
        event = {"id": secrets.token_hex(8), "kind": "rating", "image": image, "value": value}
        return self.client.post("/c/photos/events", json={"rater": self.code, "events": [event]})

    def _deck(self) -> Any:
        return self.client.get("/c/photos/deck").raise_for_status().json()
