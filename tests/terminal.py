"""The command line, run in the tests' own process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """How the command ended."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """What stdout holds: JSON and nothing else."""
        records: list[dict[str, Any]] = json.loads(self.out)
        return records


Command = Callable[..., Result]
