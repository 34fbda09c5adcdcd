"""A real Slurm on this host: one controller, two nodes, fake GPUs. No stand-in for any of it.

Everything lies in one folder and listens on 127.0.0.1 alone, with ports, a key and a socket of its
own, beside whatever Slurm the machine may be part of.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue")
NODES = ("n1", "n2")

_CONF = """
ClusterName=workbench
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket,cred_expire={requeue_s}
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
GresTypes=gpu
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=1,sched_min_interval=0
KillWait=5
MessageTimeout=5
SlurmdTimeout={node_timeout_s}
InactiveLimit=0
EnforcePartLimits=ALL
SlurmdParameters=config_overrides
MaxArraySize={max_array_size}
{more}
{nodes}
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP LLN=YES
PartitionName=short Nodes=n1,n2 MaxTime=5 State=UP
"""


def missing_programs() -> list[str]:
    """What of Slurm is not installed here."""
    return [name for name in PROGRAMS if not shutil.which(name, path=_path())]


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


@dataclass
class Cluster:
    """The daemons, by name, and where they live."""

    folder: Path
    node_ports: dict[str, int]
    daemons: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def env(self) -> dict[str, str]:
        """What a process needs to talk to this cluster."""
        return {**os.environ, "SLURM_CONF": str(self.conf)}

    def start(self, name: str, *command: str) -> None:
        """Start a daemon in the foreground, as a child of ours."""
        log = open(self.folder / "log" / f"{name}.out", "ab")  # noqa: SIM115 - closed below
        with log:
            self.daemons[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**self.env, "PATH": _path()},
                start_new_session=True,
            )

    def start_controller(self) -> None:
        self.start("slurmctld", "slurmctld", "-D", "-f", str(self.conf))

    def start_node(self, name: str) -> None:
        self.start(name, "slurmd", "-D", "-f", str(self.conf), "-N", name)

    def kill(self, name: str) -> None:
        """SIGKILL a daemon, and it alone."""
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def steps_of(self, node: str) -> list[psutil.Process]:
        """The slurmstepd processes of a node: they live on when its daemon is killed."""
        spool = str(self.folder / "spool" / node)
        steps = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.name() == "slurmstepd" and any(
                    str(connection.laddr).startswith(spool)
                    for connection in process.net_connections("unix")
                ):
                    steps.append(process)
        return steps

    def run(self, *command: str, check: bool = True) -> str:
        """A Slurm command's output."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def node_states(self) -> dict[str, str]:
        lines = self.run(
            "sinfo", "-N", "-h", "-p", "debug", "-o", "%N %T", check=False
        ).splitlines()
        return dict(line.split() for line in lines)

    def wait_for_nodes(self, timeout: float = 20.0) -> None:
        """Until both nodes take jobs."""
        deadline = time.monotonic() + timeout
        while not all(self.node_states().get(node) in ("idle", "mixed") for node in NODES):
            assert time.monotonic() < deadline, f"nodes: {self.node_states()}; {self.tails()}"
            time.sleep(0.1)

    def queue(self) -> dict[str, str]:
        """State by job, each array element with its own."""
        lines = self.run("squeue", "--array", "-h", "-o", "%i %T").splitlines()
        return dict(line.split() for line in lines)

    def clear(self) -> None:
        """No job and no dead node is left for the next test."""
        self.run("scancel", "--signal=KILL", *self.queue(), check=False)
        self.run("scancel", *self.queue(), check=False)
        for node in NODES:
            if node not in self.daemons:
                self.start_node(node)
        self.wait_for_nodes()
        deadline = time.monotonic() + 20
        while self.queue():
            assert time.monotonic() < deadline, self.queue()
            time.sleep(0.1)

    def tails(self) -> str:
        return "\n".join(
            f"{path.name}: {path.read_text(errors='replace')[-2000:]}"
            for path in sorted((self.folder / "log").iterdir())
        )

    def stop(self) -> None:
        """End every process of the cluster, jobs included, by its id."""
        steps = [process for node in NODES for process in self.steps_of(node)]
        jobs = [child for step in steps for child in step.children(recursive=True)]
        for daemon in self.daemons.values():
            daemon.send_signal(signal.SIGTERM)
        for daemon in self.daemons.values():
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for process in [*jobs, *steps]:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def start_cluster(
    folder: Path,
    *,
    requeue_s: int = 5,
    node_timeout_s: int = 5,
    max_array_size: int = 1001,
    more: str = "",
) -> Cluster:
    """Start the daemons and wait until both nodes are idle.

    Args:
        requeue_s: `cred_expire`: how long a requeued job must wait before it starts again. Slurm's
            default, which real clusters have, is 120, and the least it takes is 5.
        node_timeout_s: how long a silent node counts as alive. Slurm's default is 300.
        more: further lines of slurm.conf.
    """
    host = socket.gethostname().split(".")[0]
    for name in ("state", "log", "run", "dev", "spool/n1", "spool/n2", "munge"):
        (folder / name).mkdir(parents=True)
    (folder / "munge").chmod(0o711)
    controller, *node_ports = _free_ports(3)
    ports = dict(zip(NODES, node_ports, strict=True))
    nodes = "\n".join(
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 Gres=gpu:2 "
        "State=UNKNOWN"
        for name, port in ports.items()
    )
    cluster = Cluster(folder, ports)
    for gpu in ("gpu0", "gpu1"):
        (folder / "dev" / gpu).touch()
    (folder / "gres.conf").write_text(f"NodeName=n[1-2] Name=gpu File={folder}/dev/gpu[0-1]\n")
    cluster.conf.write_text(
        _CONF.format(
            host=host,
            folder=folder,
            controller_port=controller,
            requeue_s=requeue_s,
            node_timeout_s=node_timeout_s,
            max_array_size=max_array_size,
            more=more,
            nodes=nodes,
        )
    )
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    try:
        _start_daemons(cluster, key)
    except BaseException:
        cluster.stop()
        raise
    return cluster


def _start_daemons(cluster: Cluster, key: Path) -> None:
    munge = cluster.folder / "munge"
    cluster.start(
        "munged",
        *("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge}/socket"),
        *(f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed"),
    )
    deadline = time.monotonic() + 10
    while not (munge / "socket").exists():
        assert time.monotonic() < deadline, cluster.tails()
        time.sleep(0.02)
    cluster.start_controller()
    for node in NODES:
        cluster.start_node(node)
    cluster.wait_for_nodes()
