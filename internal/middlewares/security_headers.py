from starlette.types import ASGIApp, Message, Receive, Scope, Send

# OWASP's list for REST APIs (REST Security Cheat Sheet, "Security headers"). A route that needs
# another value, such as the docs pages' policy, sets its own.
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_OVERRIDABLE = frozenset(name for name, _ in HEADERS)


class SecurityHeadersMiddleware:
    """Adds the security headers to every reply, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", [])
                names = _OVERRIDABLE.intersection([name for name, _ in own])
                added = HEADERS if not names else [pair for pair in HEADERS if pair[0] not in names]
                message["headers"] = [*own, *added]
            await send(message)

        await self._app(scope, receive, send_secured)
