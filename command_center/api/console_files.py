"""``/``: the console's files. Where it was not built, the page says so instead of being missing."""

from typing import Final

from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from command_center.console import STATIC_DIR, WEB_DIR

_NOT_BUILT: Final = (
    "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Heard</title><link rel='stylesheet' href='/phone.css'></head>"
    "<body><main><h1>The console is not built</h1><p>The command center runs: alerts are received, stored and receipted, and the API "
    "answers. This installation has no console. In a checkout run <code>make setup</code>; else install the wheel.</p></main></body></html>"
)
_FOR_A_YEAR: Final = "public, max-age=31536000, immutable"


class ConsoleFiles(StaticFiles):
    """The built program, and beside it what needs no building."""

    def __init__(self) -> None:
        super().__init__(directory=WEB_DIR, html=True, check_dir=False)
        self.all_directories = [WEB_DIR, STATIC_DIR]

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file. What has its hash in its name never changes."""
        try:
            answer = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code == 404 and path == "." and not (WEB_DIR / "index.html").exists():
                return HTMLResponse(_NOT_BUILT, status_code=503)
            raise
        if path.startswith("assets/"):
            answer.headers["Cache-Control"] = _FOR_A_YEAR
        return answer
