"""Several ranks of one run under torchrun, on this machine or on the nodes of an allocation.

Each process dies with the one before it, from its first line on. On one machine the orchestrator
starts `python -m workbench.running.torchrun agent PARENT_PID RANKS RUN_DIR`, which becomes
torchrun; torchrun starts `... torchrun rank AGENT_PID RUN_DIR` once a rank. Over several nodes of a
Slurm allocation it starts `... torchrun step`, which becomes srun; that starts `... torchrun node`
once a node, which becomes torchrun.
"""

import importlib
import os
import runpy
import signal
import sys
from pathlib import Path

from workbench.running.warm import WORKER_MODULE
from workbench.runs.processes import die_with_parent


def agent(parent: int, ranks: int, run_dir: str) -> None:
    """Become torchrun, for ranks that meet on this machine's loopback."""
    die_with_parent(parent)
    sys.argv = [
        "torchrun",
        *("--nnodes", "1", "--nproc-per-node", str(ranks)),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"),
        *("--local-addr", "127.0.0.1"),
        *("-m", "workbench.running.torchrun", "rank", str(os.getpid()), run_dir),
    ]
    runpy.run_module("torch.distributed.run", run_name="__main__")


def step(
    parent: int, run_dir: str, nodes: int, ranks_per_node: int, cpus_per_node: int, port: int
) -> None:
    """Become srun, for a torchrun on each node of the allocation that this process runs in."""
    die_with_parent(parent)
    os.execvp(
        "srun",
        [
            "srun",
            *(f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"),
            # What the batch job was given, srun does not take over.
            *(f"--cpus-per-task={cpus_per_node}", "--kill-on-bad-exit=1", "--mpi=none"),
            *(sys.executable, "-m", "workbench.running.torchrun", "node"),
            *(run_dir, str(nodes), str(ranks_per_node), str(port)),
        ],
    )


def node(run_dir: str, nodes: int, ranks_per_node: int, port: int) -> None:
    """Become one node's torchrun. The ranks meet on the node that srun was started on."""
    die_with_parent(os.getppid())
    # srun's stop signal is for the ranks, which inherit this until they handle it.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    head, first = os.environ["SLURM_LAUNCH_NODE_IPADDR"], os.environ["SLURM_NODEID"] == "0"
    sys.argv = [
        "torchrun",
        *("--nnodes", str(nodes), "--nproc-per-node", str(ranks_per_node)),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"{head}:{port}"),
        *("--rdzv-id", f"{os.environ['SLURM_JOB_ID']}.{os.environ['SLURM_STEP_ID']}"),
        # torchrun would guess from names, and a node may have several.
        *("--rdzv-conf", f"is_host={first:d}"),
        *(("--local-addr", head) if first else ()),
        *("-m", "workbench.running.torchrun", "rank", str(os.getpid()), run_dir),
    ]
    runpy.run_module("torch.distributed.run", run_name="__main__")


def rank(agent_pid: int, run_dir: Path) -> int:
    """Run the worker as one rank, and return its exit status."""
    # Before the imports: they take seconds, and the agent may end meanwhile.
    die_with_parent(agent_pid)
    code: int = importlib.import_module(WORKER_MODULE).main(run_dir)
    return code


if __name__ == "__main__":
    if sys.argv[1] == "agent":
        agent(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    elif sys.argv[1] == "step":
        step(int(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:]))
    elif sys.argv[1] == "node":
        node(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        sys.exit(rank(int(sys.argv[2]), Path(sys.argv[3])))
