"""What holds for every request: its size, and what a browser may do with the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse

from dashboard.settings import LARGEST

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY: Final = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-eval'; worker-src 'self' blob:; frame-ancestors 'none'; "
    "form-action 'self'; base-uri 'none'; object-src 'none'"
)
"""plotly and chemiscope style their elements and compile shaders' code."""
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
SECURE: Final = b"; secure"
"""Of a cookie that a browser never sends unencrypted."""


class Limits:
    """Refuses large requests, and sends the headers that a careful page sends."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"])
        said = given.get(b"content-length", b"0")
        if not said.isdigit() or int(said) > LARGEST:
            text = f"a request here has at most {LARGEST} bytes"
            await JSONResponse({"detail": text}, 413)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > LARGEST:  # no length was said, or a false one
                return {"type": "http.disconnect"}
            return message

        # Whoever claims the proxy's word for it gets a cookie that they cannot use.
        schemes = {scope["scheme"].encode(), given.get(b"x-forwarded-proto")}
        cookie = SECURE if b"https" in schemes else b""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = [
                    (name, value + cookie if name == b"set-cookie" else value)
                    for name, value in message.get("headers", [])
                ]
                message["headers"] = [*sent, *HEADERS]
            await send(message)

        await self.app(scope, counted, with_headers)
