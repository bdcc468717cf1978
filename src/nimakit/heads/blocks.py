"""The encoders of a head, set up so that one image serves all of them."""

from collections.abc import Sequence

from nimakit.config import EncoderConfig, HeadConfig
from nimakit.errors import ConfigError
from nimakit.models.encoders import PUBLIC_ENCODERS, Encoder, load_encoder
from nimakit.models.pretrained import Notify


def check_encoders(config: HeadConfig) -> bool:
    """Check the encoders of a head as far as possible without a download.

    Raises:
        ConfigError: As `load_blocks`.
        ModelError: As `load_blocks`.
    """
    if all(encoder.name not in PUBLIC_ENCODERS for encoder in config.encoders):
        load_blocks(config)
    else:
        for name in {encoder.name for encoder in config.encoders}.difference(PUBLIC_ENCODERS):
            load_encoder(name)
    return True


def load_blocks(config: HeadConfig, *, notify: Notify | None = None) -> list[Encoder]:
    """Load the encoders of a head.

    All take images of the same size, the largest height and the largest width among their own, and make
    those that they see in their graphs.

    Args:
        config: Its encoders, and the filter and fit for all of them; those of the encoders if it has none.
        notify: Called with a sentence before a download.

    Returns:
        An encoder for each of the config's.

    Raises:
        ConfigError: The same encoder at the same size twice, or encoders of different filter or fit.
        ModelError: No such encoder, or one that does not take this size.
        DownloadError: Public weights are neither cached nor reachable.
    """
    loaded = {
        name: load_encoder(name, notify=notify) for name in dict.fromkeys(e.name for e in config.encoders)
    }
    own = [loaded[wanted.name] for wanted in config.encoders]
    sizes = [
        wanted.input_size or encoder.input_size for wanted, encoder in zip(config.encoders, own, strict=True)
    ]
    _refuse_repetitions(config.encoders, sizes)
    filters = [config.resize_filter or encoder.preprocessing.resize_filter for encoder in own]
    fits = [config.fit or encoder.preprocessing.fit for encoder in own]
    decodes = [encoder.preprocessing.decode for encoder in own]
    if len(set(decodes)) > 1:
        raise ConfigError(
            "The encoders of a head see the same image, so all or none of them must have been made for images"
            f" decoded at a smaller scale. Received: {', '.join(decodes)}"
        )
    for key, values in (("resize_filter", filters), ("fit", fits)):
        if len(set(values)) > 1:
            each = ", ".join(f"{e.name} {value}" for e, value in zip(config.encoders, values, strict=True))
            raise ConfigError(
                f"The encoders of a head see the same image, so they must have the same {key}."
                f" Received: {each}; set {key!r} in the config"
            )
    source = (max(height for height, _ in sizes), max(width for _, width in sizes))
    return [
        encoder.at(size, source_size=source, resize_filter=filters[0], fit=fits[0])
        for encoder, size in zip(own, sizes, strict=True)
    ]


def _refuse_repetitions(encoders: Sequence[EncoderConfig], sizes: Sequence[tuple[int, int]]) -> None:
    pairs = [(encoder.name, size) for encoder, size in zip(encoders, sizes, strict=True)]
    for name, size in pairs:
        if pairs.count((name, size)) > 1:
            raise ConfigError(
                f"Each encoder may occur once at each size. Received: {name} at {list(size)} twice"
            )
