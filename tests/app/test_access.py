"""Who is let in: token, host, origin and frame of every request, on the real server."""

import asyncio
import http.client
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import Server, start_server
from workbench.errors import InputError
from workbench.viewing.access import Access, Rules
from workbench.viewing.launch import rules_of

HUB, LAB = "hub.example.org:8000", "https://lab.example.org"
FOREIGN = ("http://evil.example", "http://localhost:1", "http://127.0.0.1:1", "null", "file://")
PLACES = (
    "/", "/curves", "/favicon.png", "/static/x.js", "/media/x.csv", "/component/x/index.html",
    "/app/static/x", "/_stcore/health", "/_stcore/host-config", "/_stcore/metrics",
    "/_stcore/script-health-check", "/_stcore/bidi-components/x/y", "/_stcore/upload_file/a/b",
    "/_stcore/agent/mcp", "/_stcore/agent/interact", "/auth/login", "/no-such-page",
)  # fmt: skip
SOCKET = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "c2l4dGVlbiBieXRlcyE0NQ==",
}  # fmt: skip
OPENER = '#!/bin/sh\nstat -c "%a" "${1#file://}" > "$OPENED"\ncat "${1#file://}" >> "$OPENED"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[Server]:
    """The app on no results, behind a proxy and in frames, its system calls watched."""
    opener = folder / "bin" / "xdg-open"
    opener.parent.mkdir()
    opener.write_text(OPENER)
    opener.chmod(0o755)
    trace = ("strace", "-D", "-f", "-qq", "-e", "trace=connect,listen", "-o", str(folder / "trace"))
    started = start_server(
        folder / "results", folder / "log", "--browser", "--allow-host", HUB, "--embed-from", LAB,
        through=trace if shutil.which("strace") else (),
        PATH=f"{opener.parent}:{os.environ['PATH']}", OPENED=str(folder / "opened"),
    )  # fmt: skip
    yield started
    started.process.send_signal(signal.SIGINT)
    assert started.process.wait(timeout=30) == 0
    assert "Traceback" not in (folder / "log").read_text()


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    """The answer, of which the status and headers are of interest."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.request(method, path, headers={"Connection": "close", **headers})
    answer = connection.getresponse()
    if answer.status != 101:
        answer.read()
    connection.close()
    return answer


@pytest.mark.parametrize("path", PLACES)
def test_no_place_answers_without_the_token(guarded: Server, path: str) -> None:
    wrong = {"Cookie": guarded.cookie["Cookie"] + "x"}
    for method in ("GET", "PUT", "OPTIONS"):
        assert ask(guarded, path, method).status == 403
        assert ask(guarded, f"{path}?token=wrong", method, **wrong).status == 403
    assert ask(guarded, f"{path}?token={guarded.token}", "POST").status == 403
    assert ask(guarded, path, **guarded.cookie).status != 403


def test_the_link_leads_to_a_cookie_and_an_address_without_the_token(guarded: Server) -> None:
    answer = ask(guarded, f"/curves?study=a%26b&token={guarded.token}&metric=")
    assert answer.status == 303
    assert answer.headers["Location"] == "./curves?study=a%26b&metric="
    name, _, attributes = answer.headers["Set-Cookie"].partition("; ")
    assert {"Cookie": name} == guarded.cookie
    assert "HttpOnly" in attributes
    assert "Path" not in attributes, "a proxy's other folders do not get it"
    stale = ask(guarded, "/?token=of-an-earlier-start", **guarded.cookie)
    assert (stale.status, stale.headers["Location"]) == (303, "./")
    elsewhere = ask(guarded, f"//evil.example?token={guarded.token}")
    assert elsewhere.headers["Location"] == "./evil.example", "it leads to no other site"


def test_only_its_own_names_and_the_proxys_are_answered(guarded: Server) -> None:
    port = guarded.url.rpartition(":")[2]
    for host in (f"localhost:{port}", "LOCALHOST", f"[::1]:{port}", HUB, "hub.example.org"):
        assert ask(guarded, "/_stcore/health", Host=host, **guarded.cookie).status == 200, host
    for host in ("evil.example", "10.0.0.1", "localhost.evil.example", "", "a b", "localhost@b"):
        for path in PLACES:
            assert ask(guarded, path, Host=host, **guarded.cookie).status == 403, (host, path)


def test_only_its_own_pages_may_ask(guarded: Server) -> None:
    for origin, status in ((guarded.url, 200), *((origin, 403) for origin in FOREIGN)):
        answer = ask(guarded, "/_stcore/health", Origin=origin, **guarded.cookie)
        assert answer.status == status, origin
        assert answer.headers["Access-Control-Allow-Origin"] is None


def test_the_socket_asks_for_token_host_and_origin(guarded: Server) -> None:
    right = {**SOCKET, **guarded.cookie, "Origin": guarded.url}
    assert ask(guarded, "/_stcore/stream", **right).status == 101
    assert ask(guarded, "/_stcore/stream", **{**right, "Origin": f"https://{HUB}"}).status == 101
    for wrong in ({"Cookie": ""}, {"Host": "evil.example"}, *({"Origin": o} for o in FOREIGN)):
        assert ask(guarded, "/_stcore/stream", **{**right, **wrong}).status == 403, wrong
    link = f"/_stcore/stream?token={guarded.token}"
    assert ask(guarded, link, **SOCKET, Origin=guarded.url).status == 403, "the cookie alone counts"


def test_pages_may_be_framed_by_the_origins_that_were_given(guarded: Server) -> None:
    for path in PLACES:
        for cookie in ({}, guarded.cookie):
            policy = ask(guarded, path, **cookie).headers["Content-Security-Policy"]
            assert policy == f"frame-ancestors 'self' {LAB}"


def test_no_other_user_can_read_the_token(guarded: Server, folder: Path) -> None:
    for process in (p for p in Path("/proc").iterdir() if p.name.isdigit()):
        for name in ("cmdline", "environ"):
            try:
                text = (process / name).read_text(errors="replace")
            except OSError:  # it has ended
                continue
            assert guarded.token not in text
    deadline = time.monotonic() + 20
    while not (folder / "opened").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    mode, page = (folder / "opened").read_text().splitlines()
    assert mode == "600", "what the browser opened"
    assert f"{guarded.url}/?token={guarded.token}" in page


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_nothing_outside_is_asked(guarded: Server, folder: Path) -> None:
    for origin in (guarded.url, *FOREIGN):
        ask(guarded, "/_stcore/stream", **SOCKET, **guarded.cookie, Origin=origin)
    trace = (folder / "trace").read_text()
    assert "listen(" in trace, "it was watched"
    assert re.findall(r"connect\(.*AF_INET.*", trace) == []


def answer_of(rules: Rules, path: str = "/", scheme: str = "http", **headers: str) -> Any:
    """What the middleware alone answers: (status, headers)."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http", "method": "GET", "scheme": scheme, "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "server": ("127.0.0.1", 8501),
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
    }  # fmt: skip
    asyncio.run(Access(app, rules)(scope, None, send))
    head = sent[0]
    return head["status"], {k.decode(): v.decode() for k, v in head["headers"]}


def test_a_frame_of_another_site_gets_a_cookie_where_browsers_send_it() -> None:
    framed, plain = Rules("secret", proxies=("hub",), embed_from=(LAB,)), Rules("secret")

    def cookie(rules: Rules, scheme: str, host: str) -> str:
        return str(answer_of(rules, "/?token=secret", scheme, Host=host)[1]["set-cookie"])

    assert cookie(framed, "https", "hub").endswith("SameSite=None; Secure; Partitioned")
    assert cookie(framed, "http", "localhost:8501").endswith("SameSite=None; Secure; Partitioned")
    assert cookie(framed, "http", "hub").endswith("HttpOnly; SameSite=Lax")
    assert cookie(plain, "http", "localhost").endswith("HttpOnly; SameSite=Lax")
    assert cookie(plain, "https", "localhost").endswith("HttpOnly; SameSite=Lax; Secure")


def test_without_a_token_hosts_and_origins_are_still_checked() -> None:
    rules = rules_of("127.0.0.1", token=False, allow_hosts=(), embed_from=())
    assert answer_of(rules, Host="localhost:1")[0] == 200
    assert answer_of(rules, Host="evil.example")[0] == 403
    assert answer_of(rules, Host="localhost:1", Origin="http://localhost:2")[0] == 403


def test_an_app_for_others_goes_by_its_addresses_and_its_computers_name() -> None:
    rules = rules_of("0.0.0.0", token=True, allow_hosts=(), embed_from=())
    assert rules.token != rules_of("0.0.0.0", token=True, allow_hosts=(), embed_from=()).token
    for host, known in (("10.1.2.3:8501", True), ("[fe80::1]:80", True), ("evil.example", False)):
        assert rules.knows_host(host) == known
    assert rules.knows_host(os.uname().nodename)
    assert not rules_of("127.0.0.1", token=True, allow_hosts=(), embed_from=()).knows_host(
        "1.2.3.4"
    )


@pytest.mark.parametrize(
    ("address", "given", "message"),
    [
        ("0.0.0.0", {"token": False}, "--no-token with --address 0.0.0.0"),
        ("localhost", {"allow_hosts": ["https://hub"]}, "--allow-host 'https://hub'"),
        ("localhost", {"allow_hosts": ["hub/user"]}, "without a path"),
        ("localhost", {"embed_from": ["lab.example.org"]}, "expected the origin of a page"),
        ("localhost", {"embed_from": ["https://a; script-src *"]}, "without a path"),
        ("localhost", {"embed_from": ["https://a\r\nSet-Cookie: b"]}, "without a path"),
    ],
)
def test_what_would_open_the_app_to_others_is_refused(
    address: str, given: dict[str, Any], message: str
) -> None:
    usual: dict[str, Any] = {"token": True, "allow_hosts": (), "embed_from": ()}
    with pytest.raises(InputError, match=re.escape(message)):
        rules_of(address, **{**usual, **given})
