"""The C++ compiler that compiled runs need, looked for before any of them starts."""

from workbench.errors import InputError
from workbench.planning.compiling import missing_compiler
from workbench.runs.folder import RunFolder


def check_compiler(folders: dict[str, RunFolder]) -> None:
    """Refuse a run that is not finished and asks for compiled code where there is no compiler.

    Raises:
        InputError: names the run, the compiler, and what to do.
    """
    asking = [
        run_id
        for run_id, run in folders.items()
        if run.config_json()["config"]["training"].get("compile") is True
        and run.stored_status().state != "finished"
    ]
    if asking and (missing := missing_compiler()) is not None:
        raise InputError(
            f"training.compile = true of run {asking[0]}: there is no C++ compiler ({missing}), "
            "which torch.compile needs. Install one, name another in CXX, or leave the key out: "
            "a run that would be compiled then trains eager, and says so."
        )
