"""When a decoded picture is to be shown, by its stream's own stamps: increasing, whatever the container did to them.

A container that keeps one stamp for each packet (AVI, some cameras' RTSP) gives pictures that were sent out of order, as H.264's B-frames
are, stamps that jump back and forth. FFmpeg's own remedy is used: of the two stamps that each picture carries, the one that went
backwards less often. Source: ``guess_correct_pts`` in libavcodec/decode.c. Called by ``capture``.
"""

import av.video.frame


class PresentationTimes:
    """Of one opened stream; asked for each picture, in the order in which they come out of the decoder."""

    def __init__(self) -> None:
        self._last: dict[str, int | None] = {"pts": None, "dts": None}
        self._faults = {"pts": 0, "dts": 0}
        self._last_ms = 0

    def of(self, picture: av.video.frame.VideoFrame) -> int:
        """In ms since the stream's zero, never earlier than the picture before; 0 where it has no stamps."""
        for name, stamp in (("pts", picture.pts), ("dts", picture.dts)):
            last = self._last[name]
            if stamp is not None:
                self._faults[name] += last is not None and stamp <= last
                self._last[name] = stamp
        is_pts_better = picture.dts is None or self._faults["pts"] <= self._faults["dts"]
        stamp = picture.pts if picture.pts is not None and is_pts_better else picture.dts
        if stamp is not None and picture.time_base is not None:
            self._last_ms = max(self._last_ms, round(stamp * picture.time_base * 1000))
        return self._last_ms
