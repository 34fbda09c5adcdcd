"""The app's entry: navigation only. Each page is a script that also runs alone."""

from pathlib import Path

import streamlit as st

# Not "pages": Streamlit would serve a folder of that name by itself until the entry is opened.
PAGES = Path(__file__).parent / "views"
TITLES = {
    "overview": ("Overview", "dashboard"),
    "curves": ("Curves", "show_chart"),
    "crossover": ("Crossover", "swap_calls"),
    "map": ("Map", "grid_on"),
    "overfitting": ("Overfitting", "trending_up"),
    "laws": ("Scaling laws", "function"),
    "predictions": ("Predictions", "query_stats"),
    "keys": ("Keys", "scatter_plot"),
    "compare": ("Compare", "stacked_line_chart"),
    "compute": ("Compute", "memory"),
    "runs": ("Runs", "list_alt"),
    "notes": ("Notes", "edit_note"),
    "sql": ("SQL", "database"),
}

st.set_page_config(
    page_title="workbench",
    page_icon=str(Path(__file__).parent / "icon.svg"),
    layout="wide",
    initial_sidebar_state="collapsed",
)
pages = [
    st.Page(
        PAGES / f"{name}.py", title=title, icon=f":material/{icon}:", default=name == "overview"
    )
    for name, (title, icon) in TITLES.items()
]
st.navigation(pages, position="top").run()
