"""Masked copies of pictures: regions made black or unrecognizable, and the picture encoded anew, so that nothing is left underneath.

The same picture, regions and release of the image library make the same bytes. What can't be drawn safely is withheld instead.
Metadata (Exif, thumbnails, color profiles) does not come along: a thumbnail would show what the mask hides.
"""

import io
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageFilter

from command_center.pictures import MOST_PIXELS, require_bounded

_BLOCKS: Final = 6
"""A blurred region keeps at most this many averages across: too few for a face or a plate to be made out again."""
Region = tuple[int, int, int, int]


class CannotMask(Exception):
    """This picture can't be masked, and why; give it away not at all."""


def mask(picture: bytes, mode: str, regions_px: Sequence[Region]) -> bytes:
    """A JPEG in which the regions (left, top, width, height) can't be seen.

    Raises:
        CannotMask: not a JPEG or PNG that can be drawn, too large, or a region that is not within it.
    """
    try:
        require_bounded(picture)
        with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG")) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise CannotMask(f"expected at most {MOST_PIXELS} pixels, found {opened.width} x {opened.height}")
            plain = opened.convert("RGB")
            image = Image.frombytes("RGB", plain.size, plain.tobytes())  # nothing but the picture: no comment, no Exif
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise CannotMask(f"can't be drawn: {error}") from error
    for left, top, width, height in regions_px:
        box = (left, top, left + width, top + height)
        if left < 0 or top < 0 or width < 1 or height < 1 or box[2] > image.width or box[3] > image.height:
            raise CannotMask(
                f"expected regions within {image.width} x {image.height} pixels, found {left},{top},{width},{height}"
            )
        if mode == "blur":
            image.paste(_unrecognizable(image.crop(box)), box)
        else:
            ImageDraw.Draw(image).rectangle((left, top, box[2] - 1, box[3] - 1), fill=(0, 0, 0))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _unrecognizable(part: Image.Image) -> Image.Image:
    """Averages over a few blocks, smoothed: a Gaussian blur alone can be undone."""
    few = (min(_BLOCKS, part.width), min(_BLOCKS, part.height))
    averaged = part.resize(few, Image.Resampling.BOX).resize(part.size, Image.Resampling.BILINEAR)
    return averaged.filter(ImageFilter.GaussianBlur(max(1, min(part.size) // 20)))
