#!/bin/sh
# What the tests use beside Python: a browser, network namespaces, openssl, an RTSP server, an MQTT broker, a NATS server, a TURN server. Tests whose tool is missing are
# skipped and say so, so a machine without root still runs the rest.
set -u
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need chromium chromium
need ip iproute2
need openssl openssl
need pdftoppm poppler-utils
need ss iproute2
PATH="$PATH:/usr/sbin"  # where Debian keeps the broker
need mosquitto mosquitto
need nats-server nats-server
need turnserver coturn
need gst-launch-1.0 gstreamer1.0-tools
[ -d /usr/share/fonts/truetype/dejavu ] || missing="$missing fonts-dejavu"
/usr/bin/python3 -c 'import gi; gi.require_version("GstRtspServer", "1.0")' 2>/dev/null ||
    missing="$missing gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
# Only benchmarks compare with it: `--bench`.
[ "${1:-}" = --bench ] && ! ls /usr/lib/postgresql/*/bin/pgbench >/dev/null 2>&1 && missing="$missing postgresql"
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1 || { [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; }; then
    echo "not installed, the tests that need them are skipped:$missing"
    exit 0
fi
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
echo "installing for the tests:$missing"
export DEBIAN_FRONTEND=noninteractive
as_root apt-get update -qq >/dev/null 2>&1
# shellcheck disable=SC2086
as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
    echo "could not install all of:$missing; the tests that need them are skipped"
exit 0
