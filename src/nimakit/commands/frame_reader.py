"""What reads and compares the photos of a shoot: for the commands that group and cull them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.parameters import FILE, FOLDER, Decorated, EncoderName
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.culling.frames import Reading
    from nimakit.culling.ranking import Weights

    Read = Callable[[Sequence[Path]], Reading]

likeness_encoder = click.option(
    "--encoder",
    type=EncoderName(),
    metavar="NAME|FILE[@SIZE]",
    help="The encoder that tells which photos are alike.  [default: efficientnet-lite0]",
)


_COMPARED = (
    click.option(
        "--comparisons",
        "comparisons_file",
        type=FILE,
        help="Learn what counts between the frames of a group from this table of comparisons, as nimakit data"
        " xmp --pairs writes it.",
    ),
    click.option(
        "--compared-images",
        type=FOLDER,
        help="For --comparisons: the folder of the compared photos, with its sub-folders.  [default: the"
        " folder of photos]",
    ),
)


def compared(command: Decorated) -> Decorated:
    """Add the options for comparisons to learn from."""
    for option in reversed(_COMPARED):
        command = option(command)
    return command


def load_weights(comparisons_file: Path | None, compared_images: Path, read: "Read") -> "Weights":
    """Learn what counts between the frames of a group.

    Args:
        comparisons_file: A table of comparisons; None for the default weights.
        compared_images: Folder of the compared photos.
        read: From `load_reader`.

    Raises:
        LabelError: The table cannot be read, or has no comparison within a group.
        UsageError: The folder has no photos.
    """
    from nimakit.culling.ranking import DEFAULT_WEIGHTS
    from nimakit.culling.verdicts import learned_weights
    from nimakit.images.files import match_images
    from nimakit.io.tables import BadRows
    from nimakit.labels.comparisons import read_comparisons

    if comparisons_file is None:
        return DEFAULT_WEIGHTS
    given = read_comparisons(comparisons_file, rows=BadRows(), notify=say)
    found = match_images(given.image_ids, compared_images, recursive=True, notify=say)
    reading = read([path for path in found.values() if path])
    return learned_weights(given, reading.frames, notify=say)


def load_reader(
    models: Sequence[str],
    user_file: Path | None,
    encoder: tuple[str, tuple[int, int] | None] | None,
    max_pixels: int,
) -> "tuple[str, Read]":
    """Load models for reading photos.

    Args:
        models: Models that are averaged; none for the default.
        user_file: One person's taste; None for none.
        encoder: Name or file, and input size or None; None for the default.
        max_pixels: Largest width times height of an image.

    Returns:
        The name of the model, and what reads photos.

    Raises:
        ModelError: One cannot be used.
    """
    from nimakit.culling.frames import read_frames
    from nimakit.models.encoders import load_encoder
    from nimakit.models.loading import load_model, load_models
    from nimakit.models.taste import read_taste

    taste = read_taste(user_file) if user_file else None
    model = load_models(models, notify=say) if models else load_model(notify=say)
    own = model.for_user(taste) if taste else None
    features = load_encoder(encoder[0], notify=say).at(encoder[1]) if encoder else None
    name = f"{model.name} for {user_file.stem}" if user_file else model.name
    return name, partial(read_frames, model=model, taste=own, encoder=features, max_pixels=max_pixels)
