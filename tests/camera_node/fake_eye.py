"""A child process that speaks the eye's language and has no camera: ``python -m tests.camera_node.fake_eye``.

The source of its camera says what it does: "well" reports health for ever, "nonsense" sends bytes that are no report.
"""

import socket
import sys
import time

from camera_node.eye import listen_to_node, receive_assignment
from camera_node.messages import Health, frame_message
from relay.kinds.heartbeat import CameraState


def main() -> None:
    connection = socket.socket(fileno=int(sys.argv[1]))
    try:
        assignment = receive_assignment(connection)
        listen_to_node(connection, lambda order: None)
        frames = 0
        while True:
            frames += 1
            if assignment.camera.source == "nonsense":
                connection.sendall(b"\x00\x00\x00\x05hello")
            else:
                connection.sendall(frame_message(
                    Health(state=CameraState.SEEING, frames_per_s=9.0, frames=frames, last_frame_age_ms=5,
                           reconnects=0, inference_ms=1.0)
                ))  # fmt: skip
            time.sleep(0.2)
    except (EOFError, OSError):
        sys.exit(0)


if __name__ == "__main__":
    main()
