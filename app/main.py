"""The app's entry: navigation only. Each page is a script that also runs alone."""

from pathlib import Path

import streamlit as st

# Not "pages": Streamlit would serve a folder of that name by itself until the entry is opened.
PAGES = Path(__file__).parent / "views"
# Without icons, so that a window of 1280 pixels has room for all of them.
TITLES = {
    "overview": "Overview",
    "curves": "Curves",
    "crossover": "Crossover",
    "map": "Map",
    "overfitting": "Overfitting",
    "laws": "Scaling laws",
    "predictions": "Predictions",
    "keys": "Keys",
    "effects": "Effects",
    "compare": "Compare",
    "compute": "Compute",
    "runs": "Runs",
    "notes": "Notes",
    "sql": "SQL",
}

st.set_page_config(
    page_title="workbench",
    page_icon=str(Path(__file__).parent / "icon.svg"),
    layout="wide",
    initial_sidebar_state="collapsed",
)
pages = [
    st.Page(PAGES / f"{name}.py", title=title, default=name == "overview")
    for name, title in TITLES.items()
]
st.navigation(pages, position="top").run()
