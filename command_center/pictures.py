"""Pictures for small screens: re-encoded, so that nothing of the bytes that came from a node reaches a browser.

What the decoder refuses is not shown. Only this thumbnail; the evidence is the file as it was signed.

A node that was taken over signs what it likes. Two kilobytes of WebP unpack to 800 MB, and a JPEG may be painted over without end (10 s for 300 kB): so pictures
are bounded before they are unpacked, and unpacked on two threads of their own, where they hold up nobody but other pictures.
"""

import asyncio
import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from PIL import Image, UnidentifiedImageError

from command_center.errors import NotFound

MOST_PIXELS: Final = 34_000_000
"""An 8K picture. It says its size before it is unpacked: a bomb is refused by that."""
MOST_BYTES: Final = 16 << 20
MOST_SCANS: Final = 64
"""How often a progressive JPEG may paint over itself; encoders do it ten times. Source: libjpeg-turbo, "Two Issues with the JPEG Standard"."""
_JPEG: Final = b"\xff\xd8"
_SCAN: Final = b"\xff\xda"
"""Start of scan (ITU-T T.81, B.1.1.3); within a scan's own data a 0xff is followed by other bytes."""
_FORMATS: Final = ("JPEG", "PNG", "WEBP")
_PAINTERS: Final = ThreadPoolExecutor(2, thread_name_prefix="picture")


class TooMuch(ValueError):
    """A picture that costs more to unpack than any camera's."""


async def small(file: Path, most_px: int) -> bytes:
    """``small_jpeg`` from a thread of its own.

    Raises:
        NotFound: see ``small_jpeg``.
    """
    return await asyncio.get_running_loop().run_in_executor(_PAINTERS, small_jpeg, file, most_px)


def require_bounded(data: bytes) -> None:
    """Refuse a picture by what its bytes say, before anything is unpacked.

    Raises:
        TooMuch: larger, or painted over more often, than any camera's.
    """
    if len(data) > MOST_BYTES:
        raise TooMuch(f"expected a picture of at most {MOST_BYTES} bytes")
    if data.startswith(_JPEG) and (scans := data.count(_SCAN)) > MOST_SCANS:
        raise TooMuch(f"expected a picture of at most {MOST_SCANS} scans, found {scans}")


def small_jpeg(file: Path, most_px: int) -> bytes:
    """The picture as JPEG, at most ``most_px`` wide and high, without metadata. Blocking: call it on a worker thread.

    Raises:
        NotFound: it is no picture that can be shown.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with file.open("rb") as stream:
                data = stream.read(MOST_BYTES + 1)
            require_bounded(data)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
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
