"""Several ranks of one run on this machine, under torchrun.

Two steps, and each dies with the one before it, from its first line on: the orchestrator starts
`python -m workbench.launchers.torchrun agent PARENT_PID RANKS RUN_DIR`, which becomes torchrun;
torchrun starts `... torchrun rank AGENT_PID RUN_DIR` once a rank.
"""

import importlib
import os
import runpy
import sys
from pathlib import Path

from workbench.launchers.orphans import die_with_parent
from workbench.launchers.warm import WORKER_MODULE


def agent(parent: int, ranks: int, run_dir: str) -> None:
    """Become torchrun, for ranks that meet on this machine's loopback."""
    die_with_parent(parent)
    sys.argv = [
        "torchrun",
        *("--nnodes", "1", "--nproc-per-node", str(ranks)),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"),
        *("--local-addr", "127.0.0.1"),
        *("-m", "workbench.launchers.torchrun", "rank", str(os.getpid()), run_dir),
    ]
    runpy.run_module("torch.distributed.run", run_name="__main__")


def rank(agent_pid: int, run_dir: Path) -> int:
    """One rank: the worker, with its exit status."""
    # Before the imports: they take seconds, and the agent may end meanwhile.
    die_with_parent(agent_pid)
    code: int = importlib.import_module(WORKER_MODULE).main(run_dir)
    return code


if __name__ == "__main__":
    if sys.argv[1] == "agent":
        agent(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(rank(int(sys.argv[2]), Path(sys.argv[3])))
