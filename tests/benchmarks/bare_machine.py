"""A machine that has PyTorch and Lightning and what they require, and nothing else."""

import contextlib
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def run_bare(folder: Path, script: str, *arguments: str) -> str:
    """What a script prints in a process that finds nothing else; `folder`: for what hides it."""
    hiding = folder / "hiding"
    hiding.mkdir()
    (hiding / "sitecustomize.py").write_text(HIDING.format(absent=absent()))
    done = subprocess.run(
        [sys.executable, script, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(hiding)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def needed(*names):
    """The distributions that these require, and those that they require: what is installed with
    them on a machine that has nothing else."""
    found, asked = set(), [canonicalize_name(name) for name in names]
    while asked:
        name = asked.pop()
        if name in found:
            continue
        with contextlib.suppress(metadata.PackageNotFoundError):
            asked += [
                canonicalize_name(requirement.name)
                for requirement in map(Requirement, metadata.requires(name) or ())
                if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            ]
            found.add(name)
    return found


def absent():
    """Top-level names of all that is installed beside PyTorch and Lightning (and Triton, which
    comes with a PyTorch for GPUs)."""
    there = needed("torch", "pytorch-lightning") | {"triton"}
    owners = {canonicalize_name(one.name) for one in metadata.distributions()} - there
    names = {owner.replace("-", "_") for owner in owners}  # some tell no more than that
    for name, makers in metadata.packages_distributions().items():
        if {canonicalize_name(maker) for maker in makers} <= owners and name.isidentifier():
            names.add(name)
    return sorted(names - {"scaling", "sweeps", "analysis", "benchmarks", "scaling_forecast"})


#: Run by every Python process that finds it: nothing says any more that those are installed.
HIDING = """
import sys, importlib.metadata as metadata, importlib.util as util
absent = {absent}
for name in absent:
    sys.modules[name] = None
distribution, find = metadata.distribution, util.find_spec
def present(name):
    if name in absent:
        raise metadata.PackageNotFoundError(name)
    return distribution(name)
metadata.distribution = present
util.find_spec = lambda name, *rest: None if name in absent else find(name, *rest)
"""
