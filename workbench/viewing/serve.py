"""Streamlit's server, with what pages need imported before the first of them is opened."""

import sys
import threading


def _warm() -> None:
    """Import what takes a second or two."""
    import altair
    import scipy.interpolate  # noqa: F401

    import workbench.analysis.figures
    import workbench.importing  # noqa: F401

    altair.Chart().mark_point().to_dict()


def main() -> None:
    from streamlit.web import cli

    threading.Thread(target=_warm, daemon=True).start()
    sys.exit(cli.main(prog_name="workbench app"))


if __name__ == "__main__":
    main()
