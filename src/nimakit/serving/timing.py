"""When an image reached each stage of the batcher, and how long it was in each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds an image waited, was decoded, and was scored (the time of its whole batch)."""

    queue: float
    decode: float
    inference: float


@dataclass(slots=True)
class Times:
    """When an image reached each stage, by `time.monotonic`; 0 where it has not.

    Attributes:
        submitted: It began to wait.
        decoding: Its decoding began.
        decoded: Its decoding ended, and it waited for a batch.
        scoring: Its batch began.
        scored: Its batch ended.
    """

    submitted: float
    decoding: float = 0.0
    decoded: float = 0.0
    scoring: float = 0.0
    scored: float = 0.0

    @property
    def timing(self) -> Timing:
        """The time in each stage."""
        waited = self.decoding - self.submitted
        if self.scored:
            waited += self.scoring - self.decoded
        return Timing(
            1000 * waited, 1000 * (self.decoded - self.decoding), 1000 * (self.scored - self.scoring)
        )
