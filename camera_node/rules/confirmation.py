"""N of M: one frame proves nothing.

0.07 % false positives a frame, the best published figure for handguns, is 300 false frames per camera and day at 5
frames/s. A frame on which the thing was not seen counts as a score of zero, so that the median falls with every miss.
Source: Frigate's median gate (`tracked_object.py`), Nazeem et al. 2022 for the figure.
"""

import statistics
from collections import deque


class ConfirmationWindow:
    """The last M scores of one track."""

    def __init__(self, *, hits: int, window: int, least_score: float, least_median: float) -> None:
        self._hits = hits
        self._scores: deque[float] = deque(maxlen=window)
        self._least_score = least_score
        self._least_median = least_median

    def add(self, score: float) -> bool:
        """Take one frame's score, 0 for a miss; whether the track is confirmed now."""
        self._scores.append(score)
        hits = sum(1 for kept in self._scores if kept >= self._least_score)
        return hits >= self._hits and self.median >= self._least_median

    @property
    def median(self) -> float:
        """Median of the scores; a window with fewer than N frames is filled with zeros."""
        padding = [0.0] * max(0, self._hits - len(self._scores))
        return statistics.median([*self._scores, *padding])
