"""Write the samples of formats that the extra `formats` only decodes: scripts/format_samples.py FOLDER.

This needs cjxl of libjxl-tools, and pillow-heif, whose wheels are under the GPL: install it into an
environment of its own.
"""

import subprocess
import sys
from pathlib import Path

from PIL import Image
from pillow_heif import register_heif_opener

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from photo_formats import camera_exif, corners

_FRAMES = 100

register_heif_opener()
folder = Path(sys.argv[1])
for orientation in range(1, 9):
    # As in a phone's file, the picture's own properties (irot, imir) turn it, and the EXIF has the same
    # orientation, which readers must ignore.
    corners().save(
        folder / f"orientation_{orientation}.heic", quality=60, exif=camera_exif(orientation).tobytes()
    )
frames = [Image.new("RGB", (16, 16), (2 * number, 0, 0)) for number in range(_FRAMES)]
frames[0].save(folder / "animation.gif", save_all=True, append_images=frames[1:])
corners().save(folder / "orientation_6_packed_jpeg.jpg", exif=camera_exif(6))
corners().save(folder / "orientation_6.png", exif=camera_exif(6))
for name in ("animation.gif", "orientation_6_packed_jpeg.jpg", "orientation_6.png"):
    source = folder / name
    subprocess.run(["cjxl", source, source.with_suffix(".jxl")], check=True)
    source.unlink()
