"""What every answer carries and every request must keep to: security headers, a strict CSP, a bound on bodies."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES: Final = 64 * 1024
MAX_BAG_BYTES: Final = 64 << 30
LARGE: Final = {"/api/v1/verifications": MAX_BAG_BYTES}
"""Bodies that may be larger: written to disk piece by piece by whoever takes them, never held in memory."""
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class _TooLarge(Exception):
    pass


class Hardening:
    """Pure ASGI, so that event streams pass through unbuffered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0
        most = LARGE.get(scope["path"], MAX_BODY_BYTES)
        is_started = False

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise _TooLarge
            return message

        async def hardened(message: Message) -> None:
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = "max-age=31536000"
                if "cache-control" not in headers:
                    headers["Cache-Control"] = "no-store" if scope["path"].startswith("/api/") else "no-cache"
            await send(message)

        try:
            if _announced_bytes(scope) > most:
                raise _TooLarge  # noqa: TRY301  one answer for both ways of being too large
            await self._app(scope, bounded, hardened)
        except _TooLarge:
            if not is_started:
                problem = JSONResponse({"detail": f"expected a request of at most {most} bytes"}, status_code=413)
                await problem(scope, receive, hardened)


_MOST_DIGITS: Final = 20
"""More of them say the same: too large."""


def _announced_bytes(scope: Scope) -> int:
    """What the request says of its size; nothing where it does not, and then the bytes are counted as they come."""
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value[:_MOST_DIGITS]) if value.isdigit() else 0
