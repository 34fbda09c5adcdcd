"""The run folders of the store's tests."""

from tests.store.conftest import make_run, results

__all__ = ["make_run", "results"]
