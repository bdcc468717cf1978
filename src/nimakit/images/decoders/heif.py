"""HEIC: pi-heif, which only decodes. Pictures come upright, whatever orientation their EXIF has."""

import pi_heif
from PIL import Image

from nimakit.images.decoders.boxes import read_items

# One thread for each picture, because several pictures are decoded at once.
pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
_, _accepts = Image.OPEN[pi_heif.HeifImageFile.format]


class HeifImageFile(pi_heif.HeifImageFile):  # type: ignore[misc]
    """A HEIC whose names are text: others end the process in pi-heif."""

    def _open(self) -> None:
        for item in read_items(self.fp.read()):
            try:
                (item.kind + item.names).decode()
            except UnicodeDecodeError as error:
                raise SyntaxError("an item with a name that is not text") from error
        super()._open()


Image.register_open(HeifImageFile.format, HeifImageFile, _accepts)
