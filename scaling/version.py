"""Which version of the project is installed, by its metadata and nothing else."""


def installed_version() -> str:
    """The version, such as 0.2.0; "uninstalled" where the packages are only found by a path."""
    from importlib.metadata import PackageNotFoundError, version  # as slow as the rest of --help

    try:
        return version("scaling-forecast")
    except PackageNotFoundError:
        return "uninstalled"
