"""Write the HEICs of the tests: scripts/heic_samples.py FOLDER.

The decoder of the extra `formats` cannot write any. This needs pillow-heif, whose wheels are under the GPL:
install it into an environment of its own.
"""

import sys
from pathlib import Path

from pillow_heif import register_heif_opener

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from photo_formats import camera_exif, corners

register_heif_opener()
folder = Path(sys.argv[1])
for orientation in range(1, 9):
    # As in a phone's file, the picture's own properties (irot, imir) turn it, and the EXIF has the same
    # orientation, which readers must ignore.
    corners().save(
        folder / f"orientation_{orientation}.heic", quality=60, exif=camera_exif(orientation).tobytes()
    )
