"""Fine-tuning as a notebook does it with Keras alone: what benchmarks/train.py compares with.

    python benchmarks/plain_training.py CONFIG SAMPLES IMAGES WEIGHTS TRAINING VALIDATION OUTPUT

Every epoch loads, resizes and crops each image with Pillow; both phases are model.fit. TRAINING and
VALIDATION are JSON lists of indices into SAMPLES; OUTPUT gets the validation EMD.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image

LOADED, CROPPED = 256, 224


class Images(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """Batches of (n, 224, 224, 3) float32 and (n, bins) float32, loaded anew whenever they are asked for."""

    def __init__(self, paths: list[Path], labels: Any, batch_size: int, *, training: bool) -> None:
        super().__init__()
        self.paths, self.labels, self.batch_size, self.training = paths, labels, batch_size, training
        self.order = np.arange(len(paths))
        self.on_epoch_end()

    def __len__(self) -> int:
        return int(np.ceil(len(self.paths) / self.batch_size))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return np.stack([self.load(self.paths[i]) for i in chosen]), self.labels[chosen]

    def load(self, path: Path) -> Any:
        """One image, preprocessed for MobileNet."""
        with Image.open(path) as image:
            side = LOADED if self.training else CROPPED
            pixels = np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.NEAREST))
        if self.training:
            top, left = np.random.randint(0, LOADED - CROPPED + 1, 2)
            pixels = pixels[top : top + CROPPED, left : left + CROPPED]
            if np.random.rand() < 0.5:
                pixels = pixels[:, ::-1]
        return keras.applications.mobilenet.preprocess_input(pixels.astype(np.float32))

    def on_epoch_end(self) -> None:
        """A new order."""
        if self.training:
            np.random.shuffle(self.order)


def emd(labels: Any, predictions: Any) -> Any:
    """Earth mover's distance, r=2."""
    difference = keras.ops.cumsum(labels - predictions, axis=-1)
    return keras.ops.sqrt(keras.ops.mean(keras.ops.square(difference), axis=-1) + 1e-14)


def main() -> None:
    """Train, and judge the best epoch."""
    config_file, samples_file, image_dir, weights, training_file, validation_file, output = map(
        Path, sys.argv[1:]
    )
    config = json.loads(config_file.read_text())
    samples = json.loads(samples_file.read_text())
    labels = np.array([s["label"] for s in samples], np.float32)
    labels /= labels.sum(axis=1, keepdims=True)
    paths = [image_dir / f"{s['image_id']}.{config['img_format']}" for s in samples]

    def part(file: Path, *, training: bool) -> Images:
        indices = json.loads(file.read_text())
        return Images([paths[i] for i in indices], labels[indices], config["batch_size"], training=training)

    training, validation = part(training_file, training=True), part(validation_file, training=False)
    shape = (CROPPED, CROPPED, 3)
    base = keras.applications.MobileNet(input_shape=shape, weights=None, include_top=False, pooling="avg")
    published = keras.Model(base.input, keras.layers.Dense(10)(keras.layers.Dropout(0)(base.output)))
    published.load_weights(weights)
    features = keras.layers.Dropout(config["dropout_rate"])(base.output)
    model = keras.Model(base.input, keras.layers.Dense(config["n_classes"], activation="softmax")(features))
    best = output.with_suffix(".weights.h5")
    checkpoint = keras.callbacks.ModelCheckpoint(best, save_best_only=True, save_weights_only=True)
    for phase in ("dense", "all"):
        base.trainable = phase == "all"
        rate = keras.optimizers.schedules.InverseTimeDecay(
            config[f"learning_rate_{phase}"], 1, config[f"decay_{phase}"]
        )
        model.compile(keras.optimizers.Adam(rate), emd)
        model.fit(
            training,
            validation_data=validation,
            epochs=config[f"epochs_train_{phase}"],
            callbacks=[checkpoint],
            verbose=2,
        )
    model.load_weights(best)
    difference = np.cumsum(validation.labels - model.predict(validation, verbose=0), axis=-1)
    figures = {
        "emd": float(np.abs(difference).mean()),
        "emd_r2": float(np.sqrt((difference**2).mean(axis=-1)).mean()),
    }
    output.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
