"""`nimakit encoder`: networks exported by other programs, as encoders."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.parameters import FILE, Channels, InputSize, OutputFile
from nimakit.commands.sections import Sections
from nimakit.errors import UsageError
from nimakit.io.atomic import check_output
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.models.encoders.importing import Imported


@click.group(cls=Sections)
def encoder() -> None:
    """Networks that turn photos into feature vectors, from which ratings are learned.

    Public encoders have names: efficientnet-lite0, efficientnet-lite1, efficientnet-lite2, and aesthetic and
    technical (NIMA's MobileNets). Any other is an .onnx file made by the import.

    \b
    Example:
      nimakit encoder import network.onnx --size 224 --mean 0.5 --std 0.5 --output pooler_output
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have


@click.command("import")
@click.argument("exported", metavar="FILE", type=FILE)
@click.option(
    "--size",
    required=True,
    type=InputSize(),
    metavar="SIDE|HEIGHTxWIDTH",
    help="Input size in pixels, such as 224 or 320x400.",
)
@click.option(
    "--mean",
    required=True,
    type=Channels(),
    metavar="R,G,B",
    help="Mean that the network's preprocessing subtracts, of one channel after the other or of all.",
)
@click.option(
    "--std",
    required=True,
    type=Channels(),
    metavar="R,G,B",
    help="Standard deviation that it divides by.",
)
@click.option(
    "--output",
    metavar="NAME",
    help="Name of the tensor with the feature vector, (N, D). Of tokens (N, T, D) the first is taken, or the"
    " mean if all are patches; maps are averaged.  [default: the only output]",
)
@click.option(
    "--tokens",
    metavar="NAME",
    help="Name of the tensor with the vectors of the patches: tokens or maps.  [default: --output, if it has"
    " them]",
)
@click.option("--patch", type=click.IntRange(min=1), metavar="PIXELS", help="Side of a patch, for tokens.")
@click.option("--name", help="Name of the encoder.  [default: that of FILE]")
@click.option("--licence", default="unknown", metavar="SPDX", help="Licence of the weights.")
@click.option("--trained-on", default="unknown", metavar="TEXT", help="What the network was trained on.")
@click.option(
    "--value-range",
    type=click.Choice(["1", "255"]),
    default="1",
    show_default=True,
    help="Largest pixel value that --mean and --std refer to: 1 for PyTorch and Hugging Face, 255 for some"
    " networks of Keras.",
)
@click.option(
    "--layout",
    type=click.Choice(["nchw", "nhwc"]),
    help="Order of the input's dimensions.  [default: read from FILE]",
)
@click.option(
    "--channel-order",
    type=click.Choice(["rgb", "bgr"]),
    default="rgb",
    show_default=True,
    help="Order of the input's channels.",
)
@click.option(
    "--resize-filter",
    type=click.Choice(["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]),
    default="bicubic",
    show_default=True,
    help="Filter by which photos are resized.",
)
@click.option(
    "--fit",
    type=click.Choice(["squash", "pad", "crop"]),
    default="squash",
    show_default=True,
    help="How photos of another shape fit the input: squash changes the aspect ratio, pad fills with black,"
    " crop cuts off the longer side.",
)
@click.option(
    "--decode",
    type=click.Choice(["full", "scaled"]),
    default="full",
    show_default=True,
    help="Whether JPEGs may be decoded at a half, a quarter or an eighth of their size, which is faster for"
    " large photos.",
)
@click.option(
    "--encoder-file",
    type=OutputFile(".onnx"),
    help="The encoder's file.  [default: FILE, ending in .encoder.onnx]",
)
def import_(
    *,
    exported: Path,
    size: tuple[int, int],
    name: str | None,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    output: str | None,
    tokens: str | None,
    patch: int | None,
    value_range: str,
    layout: Any,
    channel_order: Any,
    encoder_file: Path | None,
    **described: str,
) -> None:
    """Make an encoder of a network exported to ONNX: by PyTorch, timm, Hugging Face, Keras or others.

    Normalisation and layout are put into the file. The encoder is tried on a photo, and its cost is printed.
    FILE is not changed. docs/encoders.md has the commands for CLIP, SigLIP and DINOv2.

    \b
    Example:
      nimakit encoder import dinov2.onnx --size 224 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 \\
        --output last_hidden_state --patch 14 --licence Apache-2.0
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.models.encoders.importing import import_encoder
    from nimakit.models.encoders.wrapping import Exported
    from nimakit.models.metadata import Metadata

    name = name or exported.stem
    file = encoder_file or exported.with_name(f"{exported.stem}.encoder.onnx")
    check_output(file, (".onnx",))
    if min(std) <= 0:
        raise UsageError(f"--std must be positive. Received: {std}")
    if file.exists() and file.resolve() == exported.resolve():
        raise UsageError(f"The encoder needs a file of its own. Received: {file}; choose --encoder-file")
    metadata = Metadata.from_dict(
        {"name": name, "base_model": name, "bins": [], "input_size": list(size), **described}
    )
    settings = Exported(
        mean=mean,
        std=std,
        largest=int(value_range),
        layout=layout,
        channels=channel_order,
        output=output,
        tokens=tokens,
        patch=patch,
    )
    _report(import_encoder(exported, file, settings, metadata))


def _report(imported: "Imported") -> None:
    """Print what the encoder gives, takes and costs."""
    made = imported.encoder
    height, width = made.input_size
    grid = f", {made.grid[0]}x{made.grid[1]} patches" if made.grid else ""
    sizes = f"{height}x{width} or any other size" if imported.takes_any_size else f"{height}x{width} only"
    say(f"wrote {made.path}: {made.dimension} features{grid}, input {sizes}")
    where = "one core" if made.device == "CPU" else "the GPU"
    say(
        f"{1000 * imported.seconds_per_image:.0f} ms per photo on {where}, without decoding;"
        f" {made.path.stat().st_size / 1e6:.1f} MB"
    )


encoder.add_section("Commands", import_)
