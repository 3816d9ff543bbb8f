"""Start one training or sampling on several GPUs or machines: torchrun on each, through srun where there are several.

    python -m tryon.launch --nodes 2 --gpus 8 --threads 4 -- train --config …

One process per GPU (one per machine without GPUs). Ranks follow the order of the machines, and the machine that this
runs on, the first of the allocation, is where they meet: its name and a port that is free now are handed to all of
them at each start, so a job that is queued again on other machines meets there. SLURM and Snakemake do the starting
over; torchrun restarts nothing.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from typing import NoReturn

from tryon import leash, slurm
from tryon.errors import UserError

TRY_AGAIN = 75


def main(arguments: list[str] | None = None) -> int:
    """Become srun where machines are still to be reached, torchrun's agent where this is one of them.

    Returns:
        The exit code of the first process that failed, 75 after SIGTERM, 0.
    """
    parser = argparse.ArgumentParser(prog="python -m tryon.launch", description="train on several GPUs or machines")
    parser.add_argument("--nodes", type=int, default=1, help="machines")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs of each machine, one process each; 0: one process")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each process")
    parser.add_argument("--meet", help="HOST:PORT of the first machine; given by this command itself")
    parser.add_argument("command", nargs="+", help="a tryon command, after --")
    args = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    if args.meet is None:
        leash.follow_parent()
    try:
        if args.nodes > 1 and args.meet is None:
            reach_machines(args)
        return run_agent(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def reach_machines(args: argparse.Namespace) -> NoReturn:
    """Become the srun that starts this module once on each machine of the job.

    Raises:
        UserError: this is no SLURM job.
    """
    if slurm.JOB not in os.environ:
        raise UserError(
            f"this training asks for {args.nodes} machines (stages.*.train.nodes), which SLURM starts: "
            "run snakemake with --profile workflow/profiles/slurm, or set nodes to 1"
        )
    processes = max(1, args.gpus)
    srun = [
        "srun",
        *(f"--nodes={args.nodes}", f"--ntasks={args.nodes}", "--ntasks-per-node=1"),
        f"--cpus-per-task={processes * args.threads}",
        *([f"--gpus-per-node={args.gpus}"] if args.gpus else []),
        "--cpu-bind=none",  # torchrun's processes share the machine's processors as they need
        "--kill-on-bad-exit=1",  # the others would wait for the one that is gone
    ]
    again = [
        *(sys.executable, "-m", "tryon.launch", f"--nodes={args.nodes}", f"--gpus={args.gpus}"),
        *(f"--threads={args.threads}", f"--meet={socket.gethostname()}:{free_port()}", "--", *args.command),
    ]
    sys.stdout.flush()
    os.execvp("srun", [*srun, *again])


def run_agent(args: argparse.Namespace) -> int:
    """Run torchrun's agent and its processes on this machine."""
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    host, port = args.meet.split(":") if args.meet else ("127.0.0.1", str(free_port()))
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    os.environ[leash.PARENT] = str(os.getpid())  # its processes end with it
    options = [
        *(f"--nnodes={args.nodes}", f"--nproc-per-node={max(1, args.gpus)}"),
        *(f"--node-rank={os.environ['SLURM_NODEID'] if args.meet else 0}",),
        *(f"--master-addr={host}", f"--master-port={port}", "--max-restarts=0"),
        f"--shutdown-timeout={leash.GRACE_S:g}",
    ]
    try:
        torchrun.run(torchrun.parse_args([*options, "-m", "tryon.cli", *args.command]))
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code  # as a shell reports a signal
    except SignalException:
        return TRY_AGAIN  # its processes got the signal too, and had the time to save
    return 0


def free_port() -> int:
    """A TCP port of this machine that nobody listens on now."""
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
