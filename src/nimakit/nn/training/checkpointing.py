"""What happens around every epoch of a phase: seeds, the best weights, the state, an early stop."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from nimakit.errors import TrainingError
from nimakit.jobs import Job
from nimakit.nn.training.batches import Batches
from nimakit.nn.training.state import State, save_weights


class Epochs(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Keeps a job's folder up to date while a phase is trained.

    Args:
        job: Its folder.
        state: Told of every epoch.
        phase: "dense" or "all".
        batches: Told which epoch comes next.
        whole: The model whose best weights are kept; it shares them with the trained one.
        base_name: Backbone, for the names of weight files.
        before: Epochs of the phases before.
        total: Epochs of all phases together.
        seed: Of dropout.
        patience: Epochs without a better loss that end the phase; None to never.
        keep_last: Whether the weights of the last epoch are kept rather than those of the best.
        averages: Swaps the averages of the weights in and out; None where none are taken.
        notify: Told how each epoch ended.
    """

    def __init__(
        self,
        job: Job,
        state: State,
        *,
        phase: str,
        batches: Batches,
        whole: keras.Model,
        base_name: str,
        before: int,
        total: int,
        seed: int,
        patience: int | None,
        keep_last: bool,
        averages: keras.callbacks.SwapEMAWeights | None,
        notify: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._job = job
        self._state = state
        self._phase = phase
        self._batches = batches
        self._whole = whole
        self._base_name = base_name
        self._before = before
        self._total = total
        self._seed = seed
        self._patience = patience
        self._keep_last = keep_last
        self._averages = averages
        self._notify = notify
        self._epoch = 0
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Seed what is random in this epoch, so that it is the same when it is run again."""
        self._epoch = epoch + 1
        self._started = time.monotonic()
        self._batches.epoch = self._epoch
        self._batches.title = f"epoch {self._epoch} of {self._total}"
        for number, layer in enumerate(self.model.layers):
            if isinstance(layer, keras.layers.Dropout) and hasattr(layer, "seed_generator"):
                words = np.random.SeedSequence([self._seed, self._epoch, number]).generate_state(2)
                layer.seed_generator.state.assign(words)

    def on_test_end(self, logs: Any = None) -> None:
        """Keep the weights that were validated: with weight averaging, these are the averages."""
        loss = float((logs or {}).get("loss", math.nan))
        if self._keep_last or loss < self._state.best_loss:
            self._keep(loss)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save the state; give up where the loss is no number, stop where it no longer falls.

        Raises:
            TrainingError: A loss that is not finite.
        """
        logs = logs or {}
        loss, val_loss = float(logs["loss"]), logs.get("val_loss")
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss must stay finite. Received: {loss} in epoch {epoch + 1}; lower the learning rate."
            )
        if val_loss is None:
            self._keep_unvalidated(loss)
        ended = self._note(loss, val_loss)
        if ended:
            self._notify(f"no better for {self._patience} epochs: the phase ends early")
            self.model.stop_training = True

    def note_start(self, model: keras.Model, training: Any, validation: Any) -> None:
        """Count a head fitted in closed form as epoch 0: it is the best so far, and may stay so.

        Args:
            model: Compiled, with that head.
            training: Batches whose loss is noted.
            validation: Batches it is judged by; None to judge by the loss.
        """
        self._started = time.monotonic()
        self.set_model(model)
        loss = float(model.evaluate(training, verbose=0))
        val_loss = None if validation is None else float(model.evaluate(validation, verbose=0))
        self._keep(loss if val_loss is None else val_loss)
        self._note(loss, val_loss)

    def _note(self, loss: float, val_loss: float | None) -> bool:
        """Save the state, tell of the epoch, and say whether it is the last one for want of progress."""
        row = {
            "phase": self._phase,
            "epoch": self._epoch,
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "loss": loss,
            "val_loss": None if val_loss is None else float(val_loss),
            "seconds": round(time.monotonic() - self._started, 1),
        }
        ended = self._ends_early(row)
        self._state.save(self._job, self.model, row, ended=ended)
        self._state.drop_other_weights(self._job)
        judged = "" if val_loss is None else f", val_loss {val_loss:.4f}"
        which = f"epoch {self._epoch} of {self._total} ({self._phase})"
        self._notify(f"{which}: loss {loss:.4f}{judged}, {row['seconds']} s")
        return ended

    def _keep_unvalidated(self, loss: float) -> None:
        """Save the averages where they are taken, as no validation swaps them in: a kill may come next."""
        if self._averages:
            self._averages.on_test_begin()
        self._keep(loss)
        if self._averages:
            self._averages.on_test_end()

    def _keep(self, loss: float) -> None:
        """Save the weights as those to export. Those before stay until the state names these."""
        name = f"weights_{self._base_name}_{self._epoch:02d}_{loss:.3f}.weights.h5"
        save_weights(self._whole, self._job.weights / name)
        self._state.best_file, self._state.best_loss = name, loss

    def _ends_early(self, row: dict[str, Any]) -> bool:
        rows = [*self._state.history, row]
        best = min(rows, key=lambda row: row["loss"] if row["val_loss"] is None else row["val_loss"])
        waited = row["epoch"] - max(best["epoch"], self._before)
        return self._patience is not None and waited >= self._patience
