"""The console that people work at: a TypeScript program in ``app/``, built into ``web/``, and what is served as it stands, ``static/``.

Built by ``scripts/build_console.py``: in the wheel by the build hook, in a checkout by ``make setup``. Nothing here runs on
the center; ``api/app`` serves the files.
"""

from pathlib import Path
from typing import Final

WEB_DIR: Final = Path(__file__).parent / "web"
"""The built program. Not in the repository."""
STATIC_DIR: Final = Path(__file__).parent / "static"
"""What needs no building: served where nothing was built, too."""
