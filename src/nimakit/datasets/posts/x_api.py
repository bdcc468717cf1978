"""Download of an account's posts through the X API."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from nimakit.errors import AccessError, UsageError, require_extra
from nimakit.io.atomic import atomic_writer

TOKEN_VARIABLE = "X_BEARER_TOKEN"  # noqa: S105 - the name of the variable, not the token
_NAME = re.compile(r"@?(\w{1,15})", re.ASCII)
_PAGE = 100
_TIMEOUT = 30.0
_ATTEMPTS = 4
_LONGEST_WAIT = 16 * 60.0
"""In seconds; the API limits requests per 15 minutes."""


def pull_posts(account: str, path: Path, *, notify: Callable[[str], None], backoff: float = 2) -> int:
    """Write an account's own posts, newest first, as the JSON Lines that `nimakit data posts` reads.

    Reposts are left out. The API returns about the latest 3,200. If a rate limit is reached, this waits.

    Args:
        account: Name of the account, with or without the @.
        path: .jsonl; appears whole or not at all.
        notify: Called with a sentence about each wait.
        backoff: Seconds before the second attempt; doubled before each further one.

    Returns:
        How many posts were written.

    Raises:
        UsageError: Not a possible account name, or no token in the environment.
        MissingExtraError: tweepy is not installed.
        AccessError: The API refuses, or there is no such account; nothing is written.
        OutputError: The file could not be written.
    """
    name = _NAME.fullmatch(account)
    if not name:
        raise UsageError(
            f"--account must be the name of an account of X, such as RateMyRoom. Received: {account}"
        )
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise UsageError(
            f"The X API needs a bearer token. Received: no {TOKEN_VARIABLE} in the environment;"
            " set it to your app's token from the developer portal."
        )
    api = _Api(token, notify, backoff)
    found = api.ask("get_user", username=name[1]).get("data")
    if found is None:
        raise AccessError(f"The X API found no account with that name. Received: {name[1]}")
    count = 0
    with atomic_writer(path) as stream:
        for post in _posts(api, found["id"]):
            stream.write(json.dumps({**post, "user_id": name[1]}) + "\n")
            count += 1
    return count


def _posts(api: "_Api", account_id: str) -> Iterator[dict[str, str]]:
    following: str | None = None
    while True:
        page = api.ask(
            "get_users_tweets",
            id=account_id,
            max_results=_PAGE,
            exclude="retweets",
            expansions="attachments.media_keys",
            media_fields="url,preview_image_url",
            tweet_fields="attachments,created_at,note_tweet",
            pagination_token=following,
        )
        media = {
            one["media_key"]: one.get("url") or one.get("preview_image_url", "")
            for one in page.get("includes", {}).get("media", [])
        }
        for post in page.get("data", []):
            keys = post.get("attachments", {}).get("media_keys", [])
            yield {
                "post_id": post["id"],
                "text": post.get("note_tweet", post)["text"],
                "image_url": " ".join(media[key] for key in keys if media.get(key)),
                "time": post["created_at"],
            }
        following = page["meta"].get("next_token")
        if following is None:
            return


class _Api:
    """The X API with retries."""

    def __init__(self, token: str, notify: Callable[[str], None], backoff: float) -> None:
        require_extra("x", "Downloading the posts of an account needs tweepy.", "tweepy")
        import tweepy  # type: ignore[import-untyped] # no types published

        self._tweepy = tweepy
        self._client = tweepy.Client(bearer_token=token, return_type=dict)
        self._client.session.request = partial(self._client.session.request, timeout=_TIMEOUT)
        self._notify = notify
        self._backoff = backoff

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call the API and return its JSON; wait and retry if it is busy, down or asks to wait."""
        import requests

        for attempt in range(1, _ATTEMPTS + 1):
            pause = self._backoff * 2 ** (attempt - 1)
            try:
                answer: dict[str, Any] = getattr(self._client, method)(**parameters)
                return answer
            except self._tweepy.TooManyRequests as error:
                reason = _message(error)
                if error.reset_time is not None:
                    pause = max(error.reset_time - time.time() + 1, 0)
            except (self._tweepy.TwitterServerError, requests.RequestException) as error:
                reason = _message(error)
            except self._tweepy.TweepyException as error:
                raise AccessError(
                    f"The X API refused. Received: {_message(error)}. Check in the developer portal whether"
                    f" {TOKEN_VARIABLE} is right, and what its app may read."
                ) from error
            if attempt == _ATTEMPTS or pause > _LONGEST_WAIT:
                break
            self._notify(f"the X API says {reason}; waiting {pause:.0f} s")
            time.sleep(pause)
        raise AccessError(f"The X API did not answer. Received: {reason} ({attempt} attempts); try later.")


def _message(error: Exception) -> str:
    """The message of an error, on one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
