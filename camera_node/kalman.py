"""A Kalman filter for boxes that move at a steady speed, many boxes at once, with real time between two frames.

State: center x, center y, aspect ratio, height, and the speed of each per second. The noise weights are those of
DeepSORT and ByteTrack (1/20 of the height for positions, 1/160 a frame for speeds), restated for a time step in
seconds: the originals count frames, and a camera that drops from 25 to 5 frames/s would lose its tracks.
Source: Wojke, Bewley, Paulus, arXiv 1703.07402.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_POSITION: Final = 1 / 20
_SPEED: Final = 1 / 8
"""Of the height, each second: 1/160 a frame at 20 frames/s."""
_NOMINAL_STEP_S: Final = 0.05


def to_measurement(xyxy: Floats) -> Floats:
    """Boxes (N, 4) as x1 y1 x2 y2 to centers, aspect ratio and height."""
    width = np.maximum(xyxy[:, 2] - xyxy[:, 0], 1e-3)
    height = np.maximum(xyxy[:, 3] - xyxy[:, 1], 1e-3)
    return np.stack((xyxy[:, 0] + width / 2, xyxy[:, 1] + height / 2, width / height, height), axis=1)


def to_corners(means: Floats) -> Floats:
    """States (N, 8) to boxes (N, 4)."""
    height = np.maximum(means[:, 3], 1e-3)
    width = np.maximum(means[:, 2], 1e-3) * height
    return np.stack((means[:, 0] - width / 2, means[:, 1] - height / 2, means[:, 0] + width / 2,
                     means[:, 1] + height / 2), axis=1)  # fmt: skip


def initiate(measurements: Floats) -> tuple[Floats, Floats]:
    """Means (N, 8) and covariances (N, 8, 8) of boxes seen for the first time."""
    count = len(measurements)
    height = measurements[:, 3]
    means = np.concatenate((measurements, np.zeros((count, 4))), axis=1)
    small = np.full(count, 1e-2)
    deviation = np.stack((
        2 * _POSITION * height, 2 * _POSITION * height, small, 2 * _POSITION * height,
        8 * _SPEED * height, 8 * _SPEED * height, small, 8 * _SPEED * height,
    ), axis=1)  # fmt: skip
    return means, _diagonal(deviation**2)


def predict(means: Floats, covariances: Floats, step_s: float) -> tuple[Floats, Floats]:
    """Where they will be ``step_s`` later."""
    count = len(means)
    height = np.abs(means[:, 3])
    steps = max(step_s, 1e-3) / _NOMINAL_STEP_S
    position = _POSITION * height * np.sqrt(steps)
    speed = _SPEED * height * np.sqrt(steps * _NOMINAL_STEP_S)
    deviation = np.stack(
        (position, position, np.full(count, 1e-2), position, speed, speed, np.full(count, 1e-5), speed), 1
    )
    motion = np.eye(8)
    motion[:4, 4:] = np.eye(4) * step_s
    return means @ motion.T, motion @ covariances @ motion.T + _diagonal(deviation**2)


def update(means: Floats, covariances: Floats, measurements: Floats) -> tuple[Floats, Floats]:
    """Correct by what was measured, row by row."""
    height = np.abs(means[:, 3])
    noise = np.stack((_POSITION * height, _POSITION * height, np.full(len(means), 1e-1), _POSITION * height), axis=1)
    projected = covariances[:, :4, :4] + _diagonal(noise**2)
    gain = np.linalg.solve(projected, covariances[:, :4, :]).transpose(0, 2, 1)
    innovation = measurements - means[:, :4]
    corrected = means + np.einsum("nij,nj->ni", gain, innovation)
    return corrected, covariances - gain @ projected @ gain.transpose(0, 2, 1)


def _diagonal(values: Floats) -> Floats:
    matrices = np.zeros((*values.shape, values.shape[1]))
    index = np.arange(values.shape[1])
    matrices[:, index, index] = values
    return matrices
