"""Streamlit's server, which imports what pages need before the first of them can be opened."""

import logging
import sys
import threading


def _import() -> None:
    """Import what takes a second or two, and draw once: libraries leave work to their first use."""
    import altair
    import duckdb
    import pyarrow  # noqa: F401
    import scipy.interpolate  # noqa: F401

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


def main() -> None:
    importing = threading.Thread(target=_import, daemon=True)
    importing.start()
    from streamlit.web import cli

    # Without this a page opened early would wait for the imports.
    importing.join()
    threading.Thread(target=_read, daemon=True).start()
    sys.exit(cli.main(prog_name="workbench app"))


if __name__ == "__main__":
    main()
