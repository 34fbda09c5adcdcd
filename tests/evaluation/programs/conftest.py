"""A place to run programs, where this machine has one."""

import pytest

from workbench.evaluation.programs.confinement import CannotConfine, Confinement, Limits, confine


@pytest.fixture(scope="session")
def confinement() -> Confinement:
    """Confined programs with little time."""
    try:
        return confine(Limits(wall_seconds=8, cpu_seconds=2))
    except CannotConfine as reason:
        pytest.skip(str(reason))
