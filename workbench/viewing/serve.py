"""Streamlit's server, with what pages need imported before the first of them can be opened."""

import sys
import threading


def _warm() -> None:
    """Import what takes a second or two, and draw once: libraries leave work to their first use."""
    import altair
    import duckdb
    import scipy.interpolate  # noqa: F401

    import workbench.analysis.figures
    import workbench.importing  # noqa: F401

    altair.Chart().mark_point().to_dict()
    duckdb.execute("SELECT 1").fetchall()


def main() -> None:
    warming = threading.Thread(target=_warm, daemon=True)
    warming.start()
    from streamlit.web import cli

    # Whoever opens a page would wait for it, while the server is seen to be there.
    warming.join()
    sys.exit(cli.main(prog_name="workbench app"))


if __name__ == "__main__":
    main()
