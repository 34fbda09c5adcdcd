"""Links to pages of the app: an address is a page's name and what is chosen there, as in
`crossover?study=quickstart`."""

from urllib.parse import parse_qs, urljoin

import streamlit as st
from streamlit.errors import StreamlitPageNotFoundError

from workbench.viewing.launch import main_script
from workbench.viewing.text import plain


def full_link(address: str) -> str:
    """An address as a link that can be sent, by the name under which the reader has the app."""
    return urljoin(st.context.url or "", address)


def link_to(label: str, address: str, *, icon: str | None = None) -> None:
    """Draw a link to an address."""
    name, _, chosen = address.partition("?")
    script = main_script().parent / "views" / f"{name or 'overview'}.py"
    try:
        st.page_link(script, label=plain(label), icon=icon, query_params=parse_qs(chosen))
    except StreamlitPageNotFoundError:  # a page that runs alone
        st.markdown(f"[{plain(label)}]({address})")


def this_address() -> str:
    """The address of the page that is being drawn, with what is chosen there."""
    from urllib.parse import urlencode, urlsplit

    name = urlsplit(st.context.url or "").path.rpartition("/")[2]
    chosen = [(key, value) for key in st.query_params for value in st.query_params.get_all(key)]
    return f"{name or 'overview'}?{urlencode(chosen)}".rstrip("?")
