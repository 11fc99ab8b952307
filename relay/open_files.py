"""How many files this process may hold open, and whether a further connection fits.

Each neighbor is a connection or two, and a service's limit is often 1,024 unless somebody raised it. libzmq aborts the process when it can't open
a socket that it needs for a new connection; so whoever is about to make one looks first.

Source: getrlimit(2), RLIMIT_NOFILE; proc(5), /proc/self/fd, whose size is the number of open files since Linux 6.2.
"""

import contextlib
import resource
from pathlib import Path
from typing import Final

_FILES_DIR: Final = Path("/proc/self/fd")
CONNECTION: Final = 32
"""Files that a new connection of two lanes may take for a moment, resolving its address included."""


def raise_limit() -> int:
    """Raise what this process may hold open to what the system allows it; returns the limit. For whoever serves, at its start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # forbidden by the system: it stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft


def lacking_room() -> str:
    """Why no further connection fits, and what to do; empty if one does."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        open_count = _FILES_DIR.stat().st_size or sum(1 for _ in _FILES_DIR.iterdir())
    except OSError:  # not even this one
        open_count = limit
    if open_count + CONNECTION <= limit:
        return ""
    return (f"expected room for {CONNECTION} more open files, found {open_count} open of {limit}: "
            "raise the limit (LimitNOFILE= of the service, or `ulimit -n`)")  # fmt: skip
