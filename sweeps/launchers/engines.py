"""Launchers by the name of their engine; each is imported when it is asked for."""

from sweeps.launchers.base import Launcher


def find_launcher(engine: str) -> Launcher:
    """The launcher of this name, one of sweeps.config.launch.ENGINES."""
    if engine == "ray":
        from sweeps.launchers.ray.tasks import launch_ray

        return launch_ray
    if engine == "slurm":
        from sweeps.launchers.slurm.launch import launch_slurm

        return launch_slurm
    from sweeps.launchers.local import launch_local

    return launch_local
