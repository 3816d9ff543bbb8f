"""A real SLURM on this one machine: Debian's slurm-wlm and munge, a controller and four virtual nodes, no systemd.

    python tests/slurm/cluster.py up      # prints the line that lets a shell use it
    python tests/slurm/cluster.py down    # ends every process of it by its id and removes its state

Everything lies in one folder (key, socket, configuration, state, logs), so that neither /etc nor another cluster of
this machine is touched. Nodes n1 and n2 have a pretend GPU, /dev/null; n3 and n4 have none. Partitions:

    cpu      n3 n4        default
    gpu      n1 n2        jobs give way to `urgent` and are queued again (PreemptMode=REQUEUE)
    spare    n1 n2        jobs give way to both and are ended (PreemptMode=CANCEL)
    urgent   n1 n2 n3 n4  goes first
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
SBIN = "/usr/sbin:/sbin"
GPU_NODES, CPU_NODES = ("n1", "n2"), ("n3", "n4")
NODES = GPU_NODES + CPU_NODES

# cred_expire: a requeued job waits that long before it starts again (default 120 s).
# config_overrides: nodes may declare more processors than the machine has.
# proctrack/linuxproc: needs no control groups. What leaves a job's process tree escapes it; `down` finds that too.
SLURM_CONF = """\
ClusterName=tryon
SlurmctldHost={host}
AuthType=auth/munge
AuthInfo=socket={base}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={port}
StateSaveLocation={base}/controller
SlurmdSpoolDir={base}/node-%n
SlurmctldPidFile={base}/pids/slurmctld
SlurmdPidFile={base}/pids/slurmd-%n
SlurmctldLogFile={base}/log/slurmctld.log
SlurmdLogFile={base}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=100000,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
MinJobAge=7200
InactiveLimit=0
KillWait=20
SlurmctldTimeout=10
SlurmdTimeout=10
{nodes}
PartitionName=cpu Nodes=n[3-4] Default=YES MaxTime=01:00:00 DefMemPerCPU=100 PriorityTier=10
PartitionName=gpu Nodes=n[1-2] MaxTime=01:00:00 DefMemPerCPU=100 PriorityTier=10
PartitionName=spare Nodes=n[1-2] MaxTime=01:00:00 DefMemPerCPU=100 PriorityTier=1 PreemptMode=CANCEL
PartitionName=urgent Nodes=n[1-4] MaxTime=01:00:00 DefMemPerCPU=100 PriorityTier=100
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 Boards=1 SocketsPerBoard=1 "
    "CoresPerSocket=2 ThreadsPerCore=1 RealMemory=200000 {gres} State=UNKNOWN"
)


def install() -> None:
    """Install Debian's packages where the programs are absent.

    Raises:
        SystemExit: they are, and this user or system cannot install them.
    """
    path = f"{os.environ['PATH']}:{SBIN}"
    absent = [name for name in DAEMONS if shutil.which(name, path=path) is None]
    if not absent:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(f"error: {', '.join(absent)} not found: install slurm-wlm and munge (Debian, as root), then try again")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", "slurm-wlm", "munge"]):
        subprocess.run(["apt-get", "-qq", *arguments], env=environment, stdin=subprocess.DEVNULL, check=True)


class Cluster:
    """Starts on `with`, is gone after it.

    Args:
        base: folder of everything; a new temporary one if None. It is removed in the end.
    """

    def __init__(self, base: Path | None = None) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="tryon-slurm-")) if base is None else base
        self.conf = self.base / "slurm.conf"

    def __enter__(self) -> Self:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def environment(self) -> dict[str, str]:
        """Of processes that are to use this cluster; without what a surrounding SLURM job set."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
        path = f"{self.base}/bin:{os.environ['PATH']}:{SBIN}"
        return {**inherited, "SLURM_CONF": str(self.conf), "PATH": path}

    def run(self, *command: str, check: bool = True) -> str:
        """What a client command such as ``squeue -h`` prints."""
        done = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr}{self._logs()}")
        return done.stdout

    # ---- start and end

    def up(self) -> None:
        """Start munged, the controller and the nodes, and wait until all nodes are idle."""
        for folder in ("bin", "munge", "controller", "pids", "log", *(f"node-{name}" for name in NODES)):
            (self.base / folder).mkdir(parents=True)
        self.base.chmod(0o755)  # munged wants a socket that others could reach
        key = self.base / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self._configure()
        self._write_clients()
        munge = self.base / "munge"
        self._start(
            *("munged", f"--key-file={key}", f"--socket={munge}/socket", f"--pid-file={self.base}/pids/munged"),
            *(f"--log-file={munge}/log", f"--seed-file={munge}/seed"),
        )
        wait_for((munge / "socket").exists, "munged's socket")
        self._start("slurmctld", "-f", str(self.conf))
        for name in NODES:
            self.start_node(name)
        wait_for(lambda: self.idle_nodes() == set(NODES), "idle nodes", detail=self._logs)

    def down(self) -> None:
        """End every process of this cluster, its jobs included, and remove the folder."""
        daemons = {int(text) for path in (self.base / "pids").glob("*") if (text := path.read_text().strip())}
        for process in daemons:
            terminate(process)
        for process in set(self.processes()) - daemons:
            terminate(process, signal.SIGKILL)  # jobs, and what they left behind
        for process in daemons:
            wait_for_end(process)
        for process in self.processes():  # what a dying daemon still started
            terminate(process, signal.SIGKILL)
            wait_for_end(process)
        left = list(self.processes())
        shutil.rmtree(self.base, ignore_errors=True)
        if left:
            raise RuntimeError(f"processes {left} of the cluster are still there")

    def start_node(self, name: str) -> None:
        """Start a node's slurmd."""
        self._start("slurmd", "-N", name, "-f", str(self.conf), SLURMD_NODENAME=name)

    def kill_node(self, name: str) -> None:
        """Kill a node's slurmd and everything that runs there, as a power cut would."""
        (self.base / "pids" / f"slurmd-{name}").unlink()
        for process in self.processes(name):
            terminate(process, signal.SIGKILL)

    def processes(self, node: str | None = None) -> Iterator[int]:
        """Ids of living processes that daemons of this cluster are or have started, on one node or on all."""
        mark = f"SLURM_CONF={self.conf}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                variables = (folder / "environ").read_bytes().split(b"\0")
                name = (folder / "comm").read_text().strip()
            except OSError:
                continue  # ended meanwhile
            # a shell that merely uses the cluster carries the mark too
            belongs = name.startswith(DAEMONS) or any(part.startswith(b"SLURMD_NODENAME=") for part in variables)
            is_there = node is None or f"SLURMD_NODENAME={node}".encode() in variables
            if mark in variables and belongs and is_there:
                yield int(folder.name)

    # ---- questions

    def idle_nodes(self) -> set[str]:
        """Names of the nodes that wait for jobs."""
        return set(self.run("sinfo", "-h", "-N", "-t", "idle", "-o", "%N", check=False).split())

    def jobs(self, *states: str) -> list[dict[str, str]]:
        """Jobs of the given states (all living ones if none): id, state, partition, node, comment, restarts, name."""
        fields = {"id": "%i", "state": "%T", "partition": "%P", "nodes": "%N", "comment": "%k", "name": "%j"}
        wanted = f"--states={','.join(states)}" if states else "--states=PENDING,RUNNING,COMPLETING,SUSPENDED"
        text = self.run("squeue", "--noheader", wanted, "--format", "|".join(fields.values()))
        return [dict(zip(fields, line.split("|"), strict=True)) for line in text.splitlines()]

    def job(self, id_: str) -> dict[str, str]:
        """Everything that the controller knows of a job."""
        words = self.run("scontrol", "show", "job", "-o", id_).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    # ---- inner workings

    def _configure(self) -> None:
        host = socket.gethostname().partition(".")[0]
        ports = free_ports(1 + len(NODES))
        nodes = [
            NODE.format(name=name, host=host, port=port, gres="Gres=gpu:1" if name in GPU_NODES else "")
            for name, port in zip(NODES, ports[1:], strict=True)
        ]
        self.conf.write_text(
            SLURM_CONF.format(host=host, base=self.base, user=getpass.getuser(), port=ports[0], nodes="\n".join(nodes))
        )
        (self.base / "gres.conf").write_text("AutoDetect=off\nNodeName=n[1-2] Name=gpu File=/dev/null\n")

    def _write_clients(self) -> None:
        """Clients that know where the configuration is: Snakemake's plugin drops SLURM_CONF within a job."""
        for name in CLIENTS:
            script = self.base / "bin" / name
            program = shutil.which(name)
            script.write_text(f'#!/bin/sh\nSLURM_CONF={self.conf} exec {program} "$@"\n')
            script.chmod(0o755)

    def _start(self, *command: str, **variables: str) -> None:
        """Start a daemon; it goes to the background by itself."""
        with (self.base / "log" / "start.log").open("ab") as log:
            subprocess.run(
                command,
                env={**self.environment, **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=60,
                check=True,
            )

    def _logs(self) -> str:
        files = sorted((self.base / "log").glob("*.log"))
        return "".join(f"\n---- {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in files)


def free_ports(count: int) -> list[int]:
    """TCP ports that nobody listens on now."""
    sockets = [socket.create_server(("", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(
    condition: Callable[[], object], what: str, timeout_s: float = 60, detail: Callable[[], str] = str
) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} after {timeout_s:g} s{detail()}")
        time.sleep(0.1)


def terminate(process: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Signal one process, which may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_end(process: int, grace_s: float = 10) -> None:
    """Wait for a process to end; kill it after the grace."""
    deadline = time.monotonic() + grace_s
    while is_alive(process):
        if time.monotonic() > deadline:
            terminate(process, signal.SIGKILL)
        time.sleep(0.05)


def main(arguments: list[str]) -> int:
    """`up` or `down` of a cluster in a folder of this user's."""
    base = Path(tempfile.gettempdir()) / f"tryon-slurm-of-{getpass.getuser()}"
    if arguments == ["up"]:
        install()
        if base.exists():
            print(f"error: {base} is there: a cluster is up; take it down first", file=sys.stderr)
            return 2
        cluster = Cluster(base)
        cluster.up()
        print(f"export SLURM_CONF={cluster.conf} PATH={base}/bin:$PATH")
        return 0
    if arguments == ["down"]:
        Cluster(base).down()
        return 0
    print("usage: cluster.py up|down", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
