"""Fine-tuning in two phases: the head on frozen features, then the whole network."""

from collections.abc import Callable, Sequence
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
from nimakit.nn.training.checkpointing import Epochs
from nimakit.nn.training.state import State
from nimakit.nn.training.training_data import Material, Photographs
from nimakit.stats import ridge
from nimakit.stats.histogram import mean

_DENSE, _ALL = "dense", "all"
_WARM_UP = 0.1
"""Share of the steps of a cosine schedule in which the learning rate rises."""


class Training:
    """One job, from photographs to an exported model.

    Args:
        job: Its folder.
        config: What to train, and how.
        photographs: What to learn from.
        allow_missing: Whether photographs that cannot be decoded are left out rather than refused.
        notify: Told in a sentence what happens.
        device_names: Devices that share each batch; all GPUs where None.
    """

    def __init__(
        self,
        job: Job,
        config: TrainConfig,
        photographs: Photographs,
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
            # What the second phase goes on from holds all weights.
            self._model = self._build(
                RANDOM_WEIGHTS if _ALL in self._state.weights else config.existing_weights
            )

    @property
    def history(self) -> list[dict[str, Any]]:
        """A row an epoch so far: phase, epoch, learning_rate, loss, val_loss, seconds."""
        return self._state.history

    @property
    def preprocessing(self) -> Preprocessing:
        """What the trained model wants its input to be like."""
        return self._backbone.preprocessing(self._config)

    def run(self) -> None:
        """Train both phases, from wherever the job stopped.

        Raises:
            ImageError: Photographs that cannot be decoded; all that were found.
            TrainingError: The loss is no number any more.
        """
        config = self._config
        if self._is_done:
            return
        material = Material(
            self._photographs,
            config,
            self.preprocessing,
            self._backbone.preprocess,
            scratch=self._job.state,
            allow_missing=self._allow_missing,
            notify=self._notify,
        )
        try:
            if config.epochs_train_dense or config.ridge_start:
                self._train_head(material)
            if config.epochs_train_all:
                self._train_whole(material)
        finally:
            material.close()

    def roll_back(self) -> None:
        """Back to the last complete epoch: what an interrupt left half done is dropped."""
        self._state = State.load(self._job)
        self._state.drop_other_weights(self._job)

    def export(self, metadata: Metadata) -> None:
        """Write the model file of the best epoch.

        Args:
            metadata: Goes into the file.

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
        model = heads.of_config(base, self._photographs.bins, config)
        is_known = False
        if source is not None and source != RANDOM_WEIGHTS:
            is_known = weights.load_pretrained(model, source, notify=self._notify)
        if not is_known:
            photographs = self._photographs
            labels = photographs.labels[list(photographs.training)].mean(axis=0)
            average = mean(labels, photographs.bins)[None] if config.head == "regression" else labels
            heads.set_prior(model, average.astype(np.float32), photographs.bins)
        return model

    @property
    def _is_done(self) -> bool:
        """Whether only the export is left, and what comes after it."""
        return bool(self._state.history) and all(map(self._is_phase_done, (_DENSE, _ALL)))

    def _is_phase_done(self, phase: str) -> bool:
        state = self._state
        return state.epochs(phase) >= self._plan(phase)[1] or phase in state.ended

    def _train_head(self, material: Material) -> None:
        """The first phase, or what it left: the backbone is frozen, so its features are computed once."""
        config, state = self._config, self._state
        with self._scope():
            dense = heads.head_alone(self._model)
            self._compile(dense, config.learning_rate_dense, config.decay_dense)
        if self._is_phase_done(_DENSE):
            state.restore(dense, _DENSE)
            if config.weight_averaging and state.epochs(_DENSE):  # Keras ends a phase with the averages
                dense.optimizer.finalize_variable_values(dense.trainable_variables)
            if state.history:
                return
        self._freeze_normalisation(frozen=True)
        backbone = batch_norm_folding.fold(heads.backbone_alone(self._model))
        training, validation, known = material.frozen(backbone)
        if config.ridge_start and not state.history:
            fitted = ridge.ridge_head(
                known.values,
                material.targets(),
                blocks=heads.feature_blocks(self._model),
                is_distribution=config.head != "regression",
                seed=config.seed,
            )
            self._model.get_layer(heads.HEAD_NAME).set_weights(fitted)
            self._epochs(_DENSE, training).note_start(
                dense, training.validation(_as_is), validation and validation.validation(_as_is)
            )
        state.restore(dense, _DENSE)
        if config.epochs_train_dense:
            self._fit(dense, _DENSE, training, validation, _as_is)

    def _freeze_normalisation(self, *, frozen: bool) -> None:
        for layer in self._model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = not frozen

    def _train_whole(self, material: Material) -> None:
        """The second phase: all layers."""
        config, state = self._config, self._state
        if self._is_phase_done(_ALL):
            return
        frozen = config.freeze_batch_norm
        if frozen is None:
            frozen = config.existing_weights != RANDOM_WEIGHTS  # which have no statistics worth keeping
        self._freeze_normalisation(frozen=frozen)
        with self._scope():
            whole = batch_norm_folding.fold(keras.Model(self._model.input, self._model.output))
            rate: Any = config.learning_rate_all
            if config.learning_rate_schedule == "cosine":
                steps = material.batches_an_epoch * config.epochs_train_all
                warm_up = int(_WARM_UP * steps)
                rate = keras.optimizers.schedules.CosineDecay(
                    0.0, steps - warm_up, warmup_target=rate, warmup_steps=warm_up
                )
            self._compile(whole, rate, config.decay_all)
        state.restore(whole, _ALL)
        training, validation = material.crops()
        self._fit(whole, _ALL, training, validation, material.preprocess)

    def _compile(self, model: keras.Model, rate: Any, decay: float) -> None:
        config = self._config
        if decay and not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            rate = keras.optimizers.schedules.InverseTimeDecay(rate, 1, decay)
        momentum = config.weight_averaging
        optimizer = losses.LayerwiseAdam(
            model, rate, config.layer_decay, use_ema=momentum > 0, ema_momentum=momentum or 0.99
        )
        # XLA makes depthwise convolutions ten times slower on a CPU.
        model.compile(optimizer, losses.of_head(config.head), jit_compile=False)
        model.optimizer.build(model.trainable_variables)  # with mixed precision it is another one

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
            self._epochs(phase, training, averages),
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
        """How many epochs come before a phase, and how many it has."""
        dense, whole = self._config.epochs_train_dense, self._config.epochs_train_all
        return (0, dense) if phase == _DENSE else (dense, whole)

    def _epochs(
        self, phase: str, training: Batches, averages: keras.callbacks.SwapEMAWeights | None = None
    ) -> Epochs:
        config = self._config
        return Epochs(
            self._job,
            self._state,
            phase=phase,
            batches=training,
            whole=self._model,
            base_name=config.base_model_name,
            before=self._plan(phase)[0],
            total=config.epochs_train_dense + config.epochs_train_all,
            seed=config.seed,
            patience=config.early_stopping_patience,
            keep_last=config.exported_epoch == "last",
            averages=averages,
            notify=self._notify,
        )


def _as_is(inputs: Any) -> Any:
    """Features need no preprocessing."""
    return inputs
