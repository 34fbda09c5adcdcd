"""Who may use the app: a token, and the hosts, origins and frames that are answered.

An ASGI middleware around all that Streamlit serves: pages, its socket, media, uploads, health.
Streamlit 1.67 lets everybody in who reaches the port, answers pages under any host name, its socket
to any origin on localhost, and asks an outside address for its own when an origin is unknown to it.
So origins are judged here alone, and Streamlit is shown none.
"""

import html
import ipaddress
import re
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workbench.errors import InputError

LOCAL = ("127.0.0.1", "localhost", "::1")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")

_REFUSED = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Not let in</title>
<body style="font: 16px sans-serif; max-width: 40em; margin: 15vh auto; padding: 0 1em">
<h1 style="font-size: 1.4em">{title}</h1><p>{text}</p></body></html>
"""
_NO_TOKEN = (
    "This browser has no token for the app",
    "Open the link that <code>workbench app</code> printed where it was started: the link has the "
    "token. This browser then needs none until the app is started again. A link that somebody "
    "shares has no token: open the printed one first.",
)
_WRONG_HOST = (
    "The app does not go by the name {name}",
    "It answers to {known}. Where {name} is a proxy or a JupyterHub in front of it, start it by "
    "<code>workbench app --allow-host {name}</code>.",
)
_WRONG_ORIGIN = (
    "A page of {name} may not use the app",
    "Only pages of the app itself may. Where {name} is a proxy or a JupyterHub in front of it, "
    "start it by <code>workbench app --allow-host {name}</code>.",
)


@dataclass(frozen=True)
class Rules:
    """What a request has to have."""

    token: str | None
    """In the link, or in the cookie that the link leaves; None lets everybody in."""
    names: tuple[str, ...] = LOCAL
    """Host names that are answered, whatever the port: a port is forwarded under another one."""
    addresses: bool = False
    """Answer every host that is an IP address, which no other site's name can be bound to."""
    proxies: tuple[str, ...] = ()
    """HOST or HOST:PORT of proxies in front of the app."""
    embed_from: tuple[str, ...] = ()
    """Origins whose pages may frame the app, beside the app's own."""

    def __post_init__(self) -> None:
        """Check what was given.

        Raises:
            InputError: a host or an origin that is none.
        """
        for proxy in self.proxies:
            if not _HOST.fullmatch(proxy):
                raise InputError(
                    f"--allow-host {proxy!r}: expected a host as browsers show it, such as "
                    "hub.example.org or hub.example.org:8000, without https:// and without a path."
                )
        for origin in self.embed_from:
            scheme, _, host = origin.partition("://")
            if scheme not in ("http", "https") or not _HOST.fullmatch(host):
                raise InputError(
                    f"--embed-from {origin!r}: expected the origin of a page, such as "
                    "https://lab.example.org or http://localhost:8888, without a path."
                )

    def knows_host(self, host: str) -> bool:
        """Whether a Host header names the app or a proxy in front of it."""
        name = _name(host)
        if name in self.names or name in map(_name, self.proxies):
            return True
        return self.addresses and _is_address(name)

    def knows_origin(self, origin: str, host: str) -> bool:
        """Whether an Origin header is that of the app's own pages, seen through a proxy or not."""
        own = urlsplit(origin).netloc.lower()
        return own == host.lower() or own in (proxy.lower() for proxy in self.proxies)


def _name(host: str) -> str:
    """The name in HOST or HOST:PORT; empty where it is neither."""
    found = _HOST.fullmatch(host)
    return found[1].strip("[]").lower() if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Access:
    """The middleware: answers 403 with a reason, or passes on what the rules allow."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules
        ancestors = " ".join(("'self'", *rules.embed_from))
        self.policy = f"frame-ancestors {ancestors}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one socket, or the server's start and end."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        answer = self._answer(HTTPConnection(scope))
        if answer is None:
            unjudged = [pair for pair in scope["headers"] if pair[0] != b"origin"]
            await self.app({**scope, "headers": unjudged}, receive, self._marked(send))
        elif scope["type"] == "http":
            answer.headers["Cache-Control"] = "no-store"
            await answer(scope, receive, self._marked(send))
        else:
            await receive()  # the wish to connect, which the server answers with 403
            await send({"type": "websocket.close", "code": 1008})

    def _answer(self, asked: HTTPConnection) -> Response | None:
        """What is answered instead of Streamlit's answer; None where that is allowed."""
        host, origin = asked.headers.get("host", ""), asked.headers.get("origin")
        if not self.rules.knows_host(host):
            return _refusal(_WRONG_HOST, host, self.rules)
        if origin is not None and not self.rules.knows_origin(origin, host):
            return _refusal(_WRONG_ORIGIN, urlsplit(origin).netloc or origin, self.rules)
        token = self.rules.token
        if token is None:
            return None
        cookie = f"workbench-{(asked.scope.get('server') or ('', 0))[1]}"
        known = _same(asked.cookies.get(cookie), token)
        given = asked.query_params.get("token")
        if given is not None and asked.scope.get("method") in ("GET", "HEAD"):
            fresh = _same(given, token)
            if fresh or known:
                answer = _without_token(asked)
                if fresh:
                    answer.headers["Set-Cookie"] = f"{cookie}={token}; {self._scope_of(asked)}"
                return answer
        return None if known else _refusal(_NO_TOKEN, host, self.rules)

    def _scope_of(self, asked: HTTPConnection) -> str:
        """Where the cookie is sent to: the link's folder, and frames where those are allowed.

        Browsers take it in another site's frame over https alone, or on this computer.
        """
        secure = asked.url.scheme == "https"
        if self.rules.embed_from and (secure or _name(asked.headers["host"]) in LOCAL):
            return "HttpOnly; SameSite=None; Secure; Partitioned"
        return "HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")

    def _marked(self, send: Send) -> Send:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = self.policy
            await send(message)

        return marked


def _same(given: str | None, token: str) -> bool:
    return given is not None and secrets.compare_digest(given.encode(), token.encode())


def _without_token(asked: HTTPConnection) -> Response:
    """Lead to the same page without the token, by its last part: a proxy may have more before."""
    pairs = parse_qsl(asked.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    query = urlencode([(key, value) for key, value in pairs if key != "token"])
    page = asked.scope["raw_path"].decode("latin-1").rpartition("/")[2]
    return Response(
        status_code=303, headers={"Location": f"./{page}" + (f"?{query}" if query else "")}
    )


def _refusal(why: tuple[str, str], name: str, rules: Rules) -> Response:
    known = ", ".join((*rules.names, *rules.proxies))
    words = {"name": html.escape(name or "(none)"), "known": html.escape(known)}
    title, text = (part.format(**words) for part in why)
    return HTMLResponse(_REFUSED.format(title=title, text=text), status_code=403)
