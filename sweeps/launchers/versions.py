"""The versions that decide a result, and the refusal of a worker that has others."""

import platform
import socket
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from scaling.errors import ConfigError

_PACKAGES = ("torch", "pytorch-lightning", "numpy", "mlflow")


def versions() -> dict[str, str]:
    """What is installed here, by name."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def require_versions(expected: Mapping[str, str]) -> None:
    """Raise ConfigError, naming this machine, where it has another version of something."""
    here = versions()
    for name, wanted in expected.items():
        if here[name] != wanted:
            raise ConfigError(
                f"worker on {socket.gethostname()} has {name} {here[name]}, the driver {wanted}; "
                "install the same constraints.txt on both"
            )
