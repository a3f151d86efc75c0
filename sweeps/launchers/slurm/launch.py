"""Tasks as Slurm job arrays through submitit; with `slurm: {cluster: local}` as plain processes.

Slurm queues, preempts and requeues; a preempted or timed-out job saves its state, and goes on from
it when it is run again, `launch.policy.tries` times at most. The folders of jobs and checkpoints
have to be shared by the nodes. Credentials of the tracking store reach jobs by their environment,
which sbatch hands on, and never by a file.
"""

import logging
import time
from collections import deque
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from scaling.errors import ConfigError
from sweeps.config.launch import LaunchConfig
from sweeps.launchers.base import Again, Happening, TaskLost, Work
from sweeps.launchers.slurm.job import JobFiles, SlurmJob
from sweeps.launchers.slurm.queue import POLL_SECONDS, Queue
from sweeps.launchers.versions import versions

_ARRAY = 500  # tasks per job array: Slurm's own limit is 1,001 by default
_MINUTES = 24 * 60
#: Of `launch.slurm`: what is ours, and not Slurm's.
_OURS = ("cluster", "folder", "time")


def launch_slurm(
    tasks: Sequence[Any], work: Work, launch: LaunchConfig, again: Again
) -> Generator[Happening, None, None]:
    """Do the tasks as Slurm jobs; see `Launcher`."""
    folder = Path(str(launch.slurm.get("folder", "slurm"))).absolute()
    executor = _executor(folder, launch)
    is_slurm = executor.cluster == "slurm"
    queue = Queue(folder, is_slurm=is_slurm, hang_seconds=launch.policy.hang_seconds)
    waiting = deque(tasks)
    try:
        while waiting or queue.jobs:
            # all of it to Slurm, which has a queue of its own
            free = _ARRAY if is_slurm else launch.workers - len(queue.jobs)
            if batch := [waiting.popleft() for _ in range(min(free, len(waiting)))]:
                files = [JobFiles.new(folder, launch.resources.nodes) for _ in batch]
                here, pairs = versions(), list(zip(batch, files, strict=True))
                jobs = [SlurmJob(work, task, own, here, launch) for task, own in pairs]
                queue.add(zip(batch, _submit(executor, jobs, launch), files, strict=True))
            for happening in queue.look():
                yield happening
                if isinstance(happening, TaskLost):
                    retry = again(happening)
                    if retry is not None:
                        waiting.appendleft(retry)
            time.sleep(POLL_SECONDS)
    finally:
        queue.cancel()


def _submit(executor: Any, jobs: Sequence[SlurmJob], launch: LaunchConfig) -> list[Any]:
    """submitit's handles; ConfigError where Slurm refuses what is asked for."""
    from submitit.core.utils import FailedJobError

    try:
        with executor.batch():  # one job array
            return [executor.submit(job) for job in jobs]
    except FailedJobError as error:  # what sbatch says comes last
        said = str(error).strip().splitlines()[-1].strip()
        asked = launch.resources
        nodes = f" on each of {asked.nodes} nodes" if asked.nodes > 1 else ""
        raise ConfigError(
            f"Slurm does not take the jobs ({said}); a run asks for {launch.reserved_cpus} CPUs, "
            f"{launch.reserved_gpus} GPUs, {asked.memory_gb or 0:g} GB{nodes}: mend launch.slurm, "
            "or threads, devices, nodes or memory_gb of launch.resources"
        ) from error


def _executor(folder: Path, launch: LaunchConfig) -> Any:
    try:
        import submitit
    except ImportError as error:
        raise ConfigError(
            "launch.engine is slurm, which needs submitit; install scaling-forecast[slurm]"
        ) from error
    logging.getLogger("submitit").setLevel(logging.ERROR)  # it warns of each question to sacct
    cluster = str(launch.slurm.get("cluster", "slurm"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        executor = submitit.AutoExecutor(
            folder=folder, cluster=cluster, slurm_max_num_timeout=launch.policy.tries
        )
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"launch.engine slurm: {error}; run it where sbatch is, or give slurm: "
            "{cluster: local}"
        ) from error
    further = {f"slurm_{key}": v for key, v in launch.slurm.items() if key not in _OURS}
    executor.update_parameters(
        name="scaling",
        timeout_min=int(launch.slurm.get("time", _MINUTES)),
        cpus_per_task=launch.reserved_cpus,
        gpus_per_node=launch.reserved_gpus,
        nodes=launch.resources.nodes,
        tasks_per_node=1,
        slurm_array_parallelism=launch.workers,
        **({} if launch.resources.memory_gb is None else {"mem_gb": launch.resources.memory_gb}),
        **(further if cluster == "slurm" else {}),
    )
    return executor
