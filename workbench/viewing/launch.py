"""Starting the app: Streamlit on a results folder, in this process."""

import asyncio
import logging
import os
import secrets
import socket
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from workbench.errors import InputError
from workbench.viewing.access import LOCAL, Access, Rules
from workbench.viewing.page_head import PageHead

_OPTIONS: dict[str, Any] = {
    "server.headless": True,  # the browser is opened here, by a link with a token
    "server.fileWatcherType": "none",
    "logger.hideWelcomeMessage": True,  # it would ask outside for this computer's address
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "type",
    "runner.magicEnabled": False,
    "theme.light.primaryColor": "#3f6283",  # calm, and no objective's colour
    "theme.dark.primaryColor": "#7fa6cc",
    "theme.light.codeTextColor": "#17513f",  # a contrast of 4.5 or more
}


def main_script() -> Path:
    """The app's entry: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).parents[1]
    installed = package / "app"
    return (installed if installed.is_dir() else package.parent / "app") / "main.py"


def rules_of(
    address: str, *, token: bool, allow_hosts: Sequence[str], embed_from: Sequence[str]
) -> Rules:
    """The rules of an app that listens on an address, with a new token.

    Raises:
        InputError: a host or an origin is none, or others than this computer would need no token.
    """
    if not token and address not in LOCAL:
        raise InputError(
            f"--no-token with --address {address}: everybody who reaches the port could read all "
            "results. Leave one of them out."
        )
    return Rules(
        token=secrets.token_urlsafe(32) if token else None,
        names=LOCAL if address in LOCAL else (*LOCAL, address, socket.gethostname().lower()),
        addresses=address not in LOCAL,
        proxies=tuple(allow_hosts),
        embed_from=tuple(embed_from),
    )


def start_app(
    results: Path,
    address: str,
    port: int | None,
    rules: Rules,
    *,
    browser: bool,
    read_only: bool = False,
) -> NoReturn:
    """Serve the app until a signal ends this process; print the link with the token.

    Args:
        read_only: whether nobody may write notes.
    """
    importing = threading.Thread(target=_import, daemon=True)
    importing.start()
    from starlette.middleware import Middleware
    from streamlit import App

    os.environ["WORKBENCH_RESULTS"] = str(results.resolve())
    if read_only:
        os.environ["WORKBENCH_READ_ONLY"] = "1"
    # Streamlit finds its configuration, and what pages import, beside the first argument.
    sys.argv = [str(main_script())]
    options = {**_OPTIONS, "server.address": address}
    if port is not None:
        options["server.port"] = port  # else the first free one from 8501

    @asynccontextmanager
    async def started(_: App) -> AsyncIterator[dict[str, Any]]:
        with ExitStack() as ending:
            links = _links(address, rules.token)
            print("The app answers at", "", *(f"    {link}" for link in links), "", sep="\n")
            sys.stdout.flush()
            if browser:
                ending.callback(_open(links[-1]).unlink, missing_ok=True)
            yield {}

    around = [Middleware(Access, rules=rules), Middleware(PageHead)]
    app = App(main_script(), middleware=around, lifespan=started)
    # Without this a page opened early would wait for the imports.
    importing.join()
    threading.Thread(target=_read, daemon=True).start()
    with suppress(KeyboardInterrupt):  # how one ends it
        app.run(config=options)
    # Pages and reading ahead may still be inside libraries, in threads that Python would abort.
    os._exit(0)


def _links(address: str, token: str | None) -> list[str]:
    """The links to the app: of other computers first, where it listens for them."""
    from streamlit.config import get_option

    hosts = [socket.gethostname(), "127.0.0.1"] if address in ("0.0.0.0", "::") else [address]
    scheme = "https" if get_option("server.sslCertFile") else "http"
    folder = str(get_option("server.baseUrlPath")).strip("/")
    end = f":{get_option('server.port')}/{folder + '/' if folder else ''}"
    end += "" if token is None else f"?token={token}"
    return [f"{scheme}://{f'[{host}]' if ':' in host else host}{end}" for host in hosts]


def _open(link: str) -> Path:
    """Open a browser on a file of this user's that leads to the link, and return the file.

    Other users can read the arguments of a command, so the token is in none.
    """
    from streamlit.cli_util import open_browser

    with tempfile.NamedTemporaryFile(  # only its owner can read it
        "w", prefix="workbench-app-", suffix=".html", delete=False
    ) as file:
        file.write(f'<meta http-equiv="refresh" content="0; url={link}">')
    asyncio.get_running_loop().run_in_executor(None, open_browser, Path(file.name).as_uri())
    return Path(file.name)


def _import() -> None:
    """Import what takes a second or two, and draw once: libraries leave work to their first use."""
    import altair
    import duckdb
    import pyarrow  # noqa: F401
    import scipy.interpolate  # noqa: F401

    import workbench.figures  # noqa: F401

    altair.Chart().mark_point().to_dict()
    duckdb.execute("SELECT 1").fetchall()


def _read() -> None:
    """Read the store while the first browser loads. Errors are left to the pages to show."""
    from workbench.viewing.cached_store import read_ahead

    # Streamlit warns of a cache used outside any page: here that is the purpose.
    quiet = logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context")
    level, quiet.level = quiet.level, logging.ERROR
    try:
        read_ahead()
    except Exception:
        logging.getLogger(__name__).debug("nothing read ahead", exc_info=True)
    finally:
        quiet.setLevel(level)
