"""Decoded pictures as pixels: one converter for each reader, since what FFmpeg prepares for a conversion serves every frame alike.

A picture's own ``to_ndarray`` prepares anew for each frame, and starts threads for it: on 480 by 360 pixels that is more work than the
conversion. Belongs to one thread. Called by ``capture``.
"""

import av.video.frame
import numpy as np
from av.video.reformatter import VideoReformatter

from camera_node.frame import Pixels


class PixelConverter:
    """From whatever a decoder gives to (H, W, 3) uint8 BGR. A change of size or format in mid-stream is followed."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def pixels(self, picture: av.video.frame.VideoFrame) -> Pixels:
        """The picture's pixels; memory of their own, that nothing writes to later."""
        return np.asarray(self._reformatter.reformat(picture, format="bgr24", threads=1).to_ndarray(), np.uint8)
