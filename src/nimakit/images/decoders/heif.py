"""HEIC: pi-heif, which is decode-only. Pictures come upright, whatever their EXIF says of orientation."""

from pi_heif import register_heif_opener

# One thread for each picture, because several pictures are decoded at once.
register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
