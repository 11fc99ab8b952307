#!/bin/sh
# Make .venv with the newest suitable Python on this machine; on Debian, install what a bare Python lacks.
set -eu
venv_dir=${1:-.venv}

find_python() {
    for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null 2>&1; then sudo "$@"; else return 1; fi; }

python=$(find_python)
if [ -z "$python" ]; then
    echo "error: expected Python 3.11, 3.12 or 3.13 on the PATH, found none: install python3 and python3-venv" >&2
    exit 2
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "$python has no venv module: installing Debian's python3-venv"
    as_root apt-get update -qq && as_root apt-get install -y -qq python3-venv || {
        echo "error: could not install it; run: apt-get install python3-venv" >&2
        exit 2
    }
fi
"$python" -m venv "$venv_dir"
