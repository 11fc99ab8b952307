"""Real encoded footage for tests of clips: H.264 with a key frame every second, and what plays of a clip."""

import io
from pathlib import Path

import av

from tests.camera_node.clips import moving

RATE = 10
GOP = 10


def write_film(file: Path, *, seconds: int = 4, codec: str = "libx264", size: tuple[int, int] = (160, 120),
               options: dict[str, str] | None = None) -> Path:  # fmt: skip
    """A film of a moving square; H.264 has a key frame every second."""
    painter = moving(*size)
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if codec == "libx264":
            stream.options = {"g": str(GOP), "preset": "ultrafast", "sc_threshold": "0", **(options or {})}
        for number in range(seconds * RATE):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(painter(number), format="bgr24")))
        container.mux(stream.encode(None))
    return file


def pictures(content: bytes) -> list[float]:
    """Seconds of every picture that decodes; the first packet must be a key frame."""
    with av.open(io.BytesIO(content), "r", format="mp4") as container:
        first = next(container.demux(video=0))
        assert first.is_keyframe, "a clip begins with a key frame"
    with av.open(io.BytesIO(content), "r", format="mp4") as container:
        return [float(picture.time or 0) for picture in container.decode(video=0)]
