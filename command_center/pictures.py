"""Pictures for small screens: re-encoded, so that nothing of the bytes that came from a node reaches a browser.

What the decoder refuses is not shown. Only this thumbnail; the evidence is the file as it was signed.
"""

import io
import warnings
from pathlib import Path
from typing import Final

from PIL import Image, UnidentifiedImageError

from command_center.errors import NotFound

MOST_PIXELS: Final = 50_000_000
"""A picture says its size before it is unpacked: a bomb is refused by that."""
_FORMATS: Final = ("JPEG", "PNG", "WEBP")


def small_jpeg(file: Path, most_px: int) -> bytes:
    """The picture as JPEG, at most ``most_px`` wide and high, without metadata. Blocking: call it on a worker thread.

    Raises:
        NotFound: it is no picture that can be shown.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=_FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise NotFound(f"this picture is too large to show: {image.width} × {image.height} pixels")
                image.draft("RGB", (most_px, most_px))  # JPEG is scaled while it is decoded
                image.thumbnail((most_px, most_px))
                target = io.BytesIO()
                plain = image.convert("RGB")
                plain.info.clear()  # Pillow writes comments, profiles and EXIF of the source back
                plain.save(target, "JPEG", quality=80)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError,
            Image.DecompressionBombWarning) as error:  # fmt: skip
        raise NotFound(f"this picture can't be shown: {type(error).__name__}") from error
    return target.getvalue()


def size_px(file: Path) -> tuple[int, int] | None:
    """Width and height as the picture itself says, without unpacking it; None where there is no picture. Blocking."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=_FORMATS) as image:
                return image.width, image.height
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError,
            Image.DecompressionBombWarning):  # fmt: skip
        return None
