"""Training in two phases: the head on frozen features, then the whole network."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import keras
import numpy as np

from nimakit.config import RANDOM_WEIGHTS, TrainConfig
from nimakit.errors import TrainingError
from nimakit.images.photo import Preprocessing
from nimakit.jobs import Job
from nimakit.models.metadata import Metadata
from nimakit.nn.networks import backbones, batch_norm_folding, export, heads, weights
from nimakit.nn.training import devices, losses
from nimakit.nn.training.batches import Batches
from nimakit.nn.training.checkpointing import Checkpointing
from nimakit.nn.training.state import State
from nimakit.nn.training.training_data import LabelledPhotos, TrainingData
from nimakit.stats import head
from nimakit.stats.histogram import Float32Array, mean

_DENSE, _ALL = "dense", "all"
_WARM_UP = 0.1
"""Share of the steps of a cosine schedule during which the learning rate rises."""


class Training:
    """One job, from photographs to an exported model.

    Args:
        job: The job.
        config: Its config.
        photographs: The photos to train and validate with.
        allow_missing: Whether to leave out photos that cannot be decoded instead of raising.
        notify: Called with messages about the progress.
        device_names: Devices that share each batch; all GPUs if None.
    """

    def __init__(
        self,
        job: Job,
        config: TrainConfig,
        photographs: LabelledPhotos,
        *,
        allow_missing: bool,
        notify: Callable[[str], None],
        device_names: Sequence[str] | None = None,
    ) -> None:
        self._job = job
        self._config = config
        self._photographs = photographs
        self._allow_missing = allow_missing
        self._notify = notify
        self._state = State.load(job)
        self._backbone = backbones.get(config.base_model_name)
        self._scope = devices.scope(device_names)
        devices.set_seed(config.seed)
        if devices.set_precision(config.mixed_precision):
            notify("computing in 16 bits (mixed precision)")
        with self._scope():
            # The saved weights of the second phase are those of the whole network.
            self._model = self._build(
                RANDOM_WEIGHTS if _ALL in self._state.weights else config.existing_weights
            )

    @property
    def history(self) -> list[dict[str, Any]]:
        """A row for each finished epoch: phase, epoch, learning_rate, loss, val_loss, seconds."""
        return self._state.history

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of the trained model."""
        return self._backbone.preprocessing(self._config)

    def run(self) -> None:
        """Train both phases, resuming where the job stopped.

        Raises:
            ImageError: Photos cannot be decoded; the error lists them.
            TrainingError: The loss is not finite.
        """
        config = self._config
        if self._state.history and self._is_phase_done(_DENSE) and self._is_phase_done(_ALL):
            return
        data = TrainingData(
            self._photographs,
            config,
            self.preprocessing,
            self._backbone.preprocess,
            scratch=self._job.state,
            allow_missing=self._allow_missing,
            notify=self._notify,
        )
        with closing(data):
            if config.epochs_train_dense or config.ridge_start:
                self._train_head(data)
            if config.epochs_train_all:
                self._train_whole(data)

    def roll_back(self) -> None:
        """Return to the last complete epoch after an interrupt."""
        self._state = State.load(self._job)
        self._state.delete_other_weights(self._job)

    def export(self, metadata: Metadata) -> None:
        """Write the model file of the best epoch.

        Raises:
            TrainingError: No epoch is complete.
        """
        if not self._state.best_file:
            raise TrainingError("A job has a model once its first epoch is complete; this one has none yet.")
        devices.set_precision(wanted=False)
        model = self._build(RANDOM_WEIGHTS)
        weights.load(model, self._job.weights / self._state.best_file)
        export.export_model(model, self._backbone, metadata, self._job.model_file)

    def _build(self, source: str | None) -> keras.Model:
        config = self._config
        base = self._backbone.build(
            "imagenet" if source is None else None, input_size=config.input_size, notify=self._notify
        )
        model = heads.add_head(base, self._photographs.bins, config)
        has_head = False
        if source is not None and source != RANDOM_WEIGHTS:
            has_head = weights.load_pretrained(model, source, notify=self._notify)
        if not has_head:
            photographs = self._photographs
            labels = photographs.labels[list(photographs.training)].mean(axis=0)
            average = mean(labels, photographs.bins)[None] if config.head == "regression" else labels
            heads.set_prior(model, average.astype(np.float32), photographs.bins)
        return model

    def _is_phase_done(self, phase: str) -> bool:
        state = self._state
        return state.epochs(phase) >= self._plan(phase)[1] or phase in state.ended

    def _train_head(self, data: TrainingData) -> None:
        """Run or restore the first phase: the backbone is frozen, so its features are computed once."""
        config, state = self._config, self._state
        with self._scope():
            dense = heads.head_only(self._model)
            self._compile(dense, config.learning_rate_dense, config.decay_dense)
        if self._is_phase_done(_DENSE):
            state.restore(dense, _DENSE)
            if config.weight_averaging and state.epochs(_DENSE):  # with which Keras ends a phase
                dense.optimizer.finalize_variable_values(dense.trainable_variables)
            if state.history:
                return
        self._freeze_normalisation(frozen=True)
        backbone = batch_norm_folding.fold(heads.backbone_only(self._model))
        training, validation, features = data.feature_batches(backbone)
        if config.ridge_start and not state.history:
            targets = data.targets().astype(np.float64)
            fitted = head.fit_linear(
                _blocks(features.values, heads.feature_blocks(self._model)),
                targets if config.head == "regression" else head.log_histograms(targets),
                seed=config.seed,
            ).head
            self._model.get_layer(heads.HEAD_NAME).set_weights([fitted.kernel, fitted.bias])
            self._checkpointing(_DENSE, training).record_start(
                dense, training.validation(_identity), validation and validation.validation(_identity)
            )
        state.restore(dense, _DENSE)
        if config.epochs_train_dense:
            self._fit(dense, _DENSE, training, validation, _identity)

    def _freeze_normalisation(self, *, frozen: bool) -> None:
        for layer in self._model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = not frozen

    def _train_whole(self, data: TrainingData) -> None:
        """Run the second phase: all layers."""
        config, state = self._config, self._state
        if self._is_phase_done(_ALL):
            return
        frozen = config.freeze_batch_norm
        if frozen is None:
            frozen = config.existing_weights != RANDOM_WEIGHTS  # random weights have no useful statistics
        self._freeze_normalisation(frozen=frozen)
        training, validation = data.crop_batches()
        with self._scope():
            whole = batch_norm_folding.fold(keras.Model(self._model.input, self._model.output))
            rate: Any = config.learning_rate_all
            if config.learning_rate_schedule == "cosine":
                steps = len(training) * config.epochs_train_all
                warm_up = int(_WARM_UP * steps)
                rate = keras.optimizers.schedules.CosineDecay(
                    0.0, steps - warm_up, warmup_target=rate, warmup_steps=warm_up
                )
            self._compile(whole, rate, config.decay_all)
        state.restore(whole, _ALL)
        self._fit(whole, _ALL, training, validation, self._backbone.preprocess)

    def _compile(self, model: keras.Model, rate: Any, decay: float) -> None:
        config = self._config
        if decay and not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            rate = keras.optimizers.schedules.InverseTimeDecay(rate, 1, decay)
        momentum = config.weight_averaging
        optimizer = losses.LayerwiseAdam(
            model, rate, config.layer_decay, use_ema=momentum > 0, ema_momentum=momentum or 0.99
        )
        # XLA makes depthwise convolutions ten times slower on CPUs.
        model.compile(optimizer, losses.for_head(config.head), jit_compile=False)
        model.optimizer.build(model.trainable_variables)  # not `optimizer`: mixed precision wraps it

    def _fit(
        self,
        model: keras.Model,
        phase: str,
        training: Batches,
        validation: Batches | None,
        preprocess: Callable[[Any], Any],
    ) -> None:
        config, state = self._config, self._state
        before, count = self._plan(phase)
        averages = keras.callbacks.SwapEMAWeights() if config.weight_averaging else None
        callbacks: list[keras.callbacks.Callback] = [
            self._checkpointing(phase, training, averages),
            keras.callbacks.TensorBoard(self._job.logs / phase, write_graph=False),
        ]
        if averages:
            callbacks.append(averages)
        model.fit(
            training.training(preprocess),
            validation_data=validation.validation(preprocess) if validation else None,
            initial_epoch=before + state.epochs(phase),
            epochs=before + count,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )

    def _plan(self, phase: str) -> tuple[int, int]:
        """The number of epochs before a phase, and of the phase."""
        dense, whole = self._config.epochs_train_dense, self._config.epochs_train_all
        return (0, dense) if phase == _DENSE else (dense, whole)

    def _checkpointing(
        self, phase: str, training: Batches, averages: keras.callbacks.SwapEMAWeights | None = None
    ) -> Checkpointing:
        return Checkpointing(
            self._job,
            self._config,
            self._state,
            phase=phase,
            batches=training,
            network=self._model,
            averages=averages,
            notify=self._notify,
        )


def _blocks(features: Float32Array, sizes: Sequence[int]) -> list[Float32Array]:
    """(views, N, D_b) of each block, from (N, views, D)."""
    return np.split(features.transpose(1, 0, 2), np.cumsum(sizes)[:-1], axis=2)


def _identity(inputs: Any) -> Any:
    """Features need no preprocessing."""
    return inputs
