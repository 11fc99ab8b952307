#!/usr/bin/python3
# mypy: disable-error-code="import-not-found"
"""An IP camera: looped H.264 access units on a real RTSP server with digest login. Run by the system's Python.

Arguments: file of access units (big-endian length, Annex B bytes), port, user:password, pictures a second (25). Says "began"
and CLOCK_MONOTONIC when the first picture goes out. SIGSTOP makes it hang, a kill
makes it vanish. Needs Debian's gir1.2-gst-rtsp-server-1.0, python3-gi, gstreamer1.0-plugins-{base,good,bad}.
"""

import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

RATE = int(sys.argv[4]) if len(sys.argv) > 4 else 25
LAUNCH = (
    "( appsrc name=src is-live=true format=time do-timestamp=true "
    f"caps=video/x-h264,stream-format=byte-stream,alignment=au,framerate={RATE}/1 "
    "! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
)


def units(file: str) -> list[bytes]:
    data = Path(file).read_bytes()
    found: list[bytes] = []
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def main() -> None:
    Gst.init(None)
    pictures = units(sys.argv[1])
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(LAUNCH)

    def configure(_: object, media: Any) -> None:
        source = media.get_element().get_child_by_name("src")
        running = [True]
        media.connect("unprepared", lambda _: running.__setitem__(0, False))

        def pump() -> None:
            began, number = time.monotonic(), 0
            print(f"began {began:.6f}", flush=True)
            while running[0]:
                time.sleep(max(0.0, began + number / RATE - time.monotonic()))
                buffer = Gst.Buffer.new_wrapped(pictures[number % len(pictures)])
                if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                    break
                number += 1

        threading.Thread(target=pump, daemon=True).start()

    factory.connect("media-configure", configure)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[2])
    user, password = sys.argv[3].split(":")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_role("user")
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/cam", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
