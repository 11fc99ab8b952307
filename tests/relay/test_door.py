"""The local door, asked by somebody who can't reach it: what is wrong, in words, and without an errno."""

import socket
from pathlib import Path

import pytest

from relay import door
from relay.errors import NetworkError


def test_a_door_that_is_not_there_asks_whether_the_service_runs(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"door.sock \(No such file or directory\): is the service running\?"):
        door.ask(tmp_path, "ping")


def test_a_user_who_may_not_is_told_whom_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refused)
    with pytest.raises(NetworkError, match="ask as root, or as the user that the service runs as"):
        door.ask(tmp_path, "ping")
