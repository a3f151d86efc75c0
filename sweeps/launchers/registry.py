"""The launchers there are, by the name that `launch.engine` gives."""

from collections.abc import Callable

from scaling.errors import ConfigError
from sweeps.launchers.base import Launcher


def _local() -> Launcher:
    from sweeps.launchers.local import launch_local

    return launch_local


def _ray() -> Launcher:
    from sweeps.launchers.ray.tasks import launch_ray

    return launch_ray


def _slurm() -> Launcher:
    from sweeps.launchers.slurm.launch import launch_slurm

    return launch_slurm


#: What imports each launcher; `sweeps.config.launch.ENGINES` offers these names.
LAUNCHERS: dict[str, Callable[[], Launcher]] = {"local": _local, "ray": _ray, "slurm": _slurm}


def find_launcher(engine: str) -> Launcher:
    """The launcher of this name; ConfigError names those there are."""
    if engine not in LAUNCHERS:
        raise ConfigError(f'launch.engine is "{engine}"; choose one of {", ".join(LAUNCHERS)}')
    return LAUNCHERS[engine]()
