"""What the app adds to the head of the HTML page that Streamlit serves: a few lines of script.

Streamlit 1.67 looks for its server beside the page first, so that /curves asks for
/curves/_stcore/health, and the browser's console shows a 404 for it; here it is given the folder.

And it makes an entry in the browser's history whenever the address changes, two of which would lead
Back to where one is already. A page that was opened without a selection writes the one that it
begins with: that address is completed in place. And on the way to another page the selection can
be written before the page's name is, so that the former page gets it: that entry is replaced, where
the user did nothing in between.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEAD = b"<head>"
_SCRIPT = b"""<script>
window.__streamlit = { BACKEND_BASE_URL: new URL("./", location.href).href }
const push = history.pushState.bind(history)
let written = false
for (const kind of ["pointerdown", "keydown"]) {
  addEventListener(kind, () => { written = false }, true)
}
history.pushState = (state, title, url) => {
  const next = new URL(url, location.href)
  const stays = next.pathname === location.pathname
  const completed = stays && location.search === ""
  const moved = !stays && written && next.search === location.search
  written = stays && !completed
  completed || moved ? history.replaceState(state, title, url) : push(state, title, url)
}
</script>"""
_UNCHANGED = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")
"""Headers by which a server answers something else than the whole page as it is."""


class PageHead:
    """The middleware: HTML pages get the script, everything else passes unchanged."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one socket, or the server's start and end."""
        asked = Headers(scope=scope) if scope["type"] == "http" else None
        if asked is None or "text/html" not in asked.get("accept", ""):
            await self.app(scope, receive, send)
            return
        headers = [pair for pair in scope["headers"] if pair[0] not in _UNCHANGED]
        start: Message = {}
        body = b""

        async def extended(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body", False):
                return
            answer = MutableHeaders(scope=start)
            if answer.get("content-type", "").startswith("text/html") and body:
                body = body.replace(_HEAD, _HEAD + _SCRIPT, 1)
                answer["content-length"] = str(len(body))
            await send(start)
            await send({"type": "http.response.body", "body": body})

        await self.app({**scope, "headers": headers}, receive, extended)
