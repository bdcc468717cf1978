"""Keras callback: seed each epoch, keep the best weights, save the state, end training early."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from nimakit.config import TrainConfig
from nimakit.errors import TrainingError
from nimakit.jobs import Job
from nimakit.nn.training.batches import Batches
from nimakit.nn.training.state import State, save_weights


class Checkpointing(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Keeps a job's folder up to date while a phase is trained.

    Args:
        job: The job.
        config: Its epochs, seed, patience and which epoch to export.
        state: Updated after every epoch.
        phase: "dense" or "all".
        batches: The training batches, whose epoch is set.
        network: The model whose best weights are kept; it shares its weights with the trained one.
        averages: Swaps the averages of the weights in and out; None without weight averaging.
        notify: Called with a message after each epoch.
    """

    def __init__(
        self,
        job: Job,
        config: TrainConfig,
        state: State,
        *,
        phase: str,
        batches: Batches,
        network: keras.Model,
        averages: keras.callbacks.SwapEMAWeights | None,
        notify: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._job = job
        self._config = config
        self._state = state
        self._phase = phase
        self._batches = batches
        self._network = network
        self._averages = averages
        self._notify = notify
        self._total = config.epochs_train_dense + config.epochs_train_all
        self._epoch = 0
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Seed dropout by the epoch, so that a resumed job repeats it."""
        self._epoch = epoch + 1
        self._started = time.monotonic()
        self._batches.epoch = self._epoch
        self._batches.title = f"epoch {self._epoch} of {self._total}"
        for number, layer in enumerate(self.model.layers):
            if isinstance(layer, keras.layers.Dropout) and hasattr(layer, "seed_generator"):
                words = np.random.SeedSequence([self._config.seed, self._epoch, number]).generate_state(2)
                layer.seed_generator.state.assign(words)

    def on_test_end(self, logs: Any = None) -> None:
        """Keep the weights that were validated; with weight averaging, these are the averages."""
        loss = float((logs or {}).get("loss", math.nan))
        if self._config.exported_epoch == "last" or loss < self._state.best_loss:
            self._keep(loss)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save the state, and stop the phase if the loss no longer falls.

        Raises:
            TrainingError: The loss is not finite.
        """
        logs = logs or {}
        loss, val_loss = float(logs["loss"]), logs.get("val_loss")
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss must stay finite. Received: {loss} in epoch {epoch + 1}; lower the learning rate."
            )
        if val_loss is None:
            self._keep_unvalidated(loss)
        if self._record(loss, val_loss):
            patience = self._config.early_stopping_patience
            self._notify(f"no better for {patience} epochs: the phase ends early")
            self.model.stop_training = True

    def record_start(self, model: keras.Model, training: Any, validation: Any) -> None:
        """Record a head that was fitted in closed form as epoch 0.

        Args:
            model: Compiled, with that head.
            training: Batches to compute the loss of.
            validation: Batches to compute the validation loss of, if any.
        """
        self._started = time.monotonic()
        self.set_model(model)
        loss = float(model.evaluate(training, verbose=0))
        val_loss = None if validation is None else float(model.evaluate(validation, verbose=0))
        self._keep(loss if val_loss is None else val_loss)
        self._record(loss, val_loss)

    def _record(self, loss: float, val_loss: float | None) -> bool:
        """Save the state, report the epoch, and return whether the phase ends early."""
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
        self._state.delete_other_weights(self._job)
        validated = "" if val_loss is None else f", val_loss {val_loss:.4f}"
        epoch = f"epoch {self._epoch} of {self._total} ({self._phase})"
        self._notify(f"{epoch}: loss {loss:.4f}{validated}, {row['seconds']} s")
        return ended

    def _keep_unvalidated(self, loss: float) -> None:
        """Save the averages, if any, now: without validation nothing else swaps them in before a kill."""
        if self._averages:
            self._averages.on_test_begin()
        self._keep(loss)
        if self._averages:
            self._averages.on_test_end()

    def _keep(self, loss: float) -> None:
        """Save the weights to export. The previous ones stay until the state names these."""
        name = f"weights_{self._config.base_model_name}_{self._epoch:02d}_{loss:.3f}.weights.h5"
        save_weights(self._network, self._job.weights / name)
        self._state.best_file, self._state.best_loss = name, loss

    def _ends_early(self, row: dict[str, Any]) -> bool:
        rows = [*self._state.history, row]
        best = min(rows, key=lambda row: row["loss"] if row["val_loss"] is None else row["val_loss"])
        start = 0 if self._phase == "dense" else self._config.epochs_train_dense
        patience = self._config.early_stopping_patience
        return patience is not None and row["epoch"] - max(best["epoch"], start) >= patience
