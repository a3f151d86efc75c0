"""Every error that a user can cause, each with one line: what, where, what next.

    ScalingError
    +-- ConfigError      a config file, a flag, or a plan that cannot be built from them
    +-- CorpusError      the text that a run trains on
    +-- RecordError      a table of runs
    +-- StoreError       the tracking store (MLflow)
    |   +-- NotStoredError   it answers, and holds no such sweep
    +-- FitError         runs from which no usable law can be fitted
    +-- ForecastError    a question that the runs cannot answer
    +-- CheckError       an invariant of the training that does not hold on this machine

The command line prints the line and exits with code 2. Anything else that is raised is our own
mistake and keeps its traceback.
"""


class ScalingError(Exception):
    """The root: catch this to catch every mistake that the input explains."""


class ConfigError(ScalingError):
    """A config file, a flag, or a plan that cannot be built from them."""


class CorpusError(ScalingError):
    """Text to train on that is missing, unreadable, or too short."""


class LaunchError(ScalingError):
    """Workers that cannot be started."""


class RecordError(ScalingError):
    """A table of runs that cannot be read or lacks what was asked of it."""


class StoreError(ScalingError):
    """A tracking store that cannot be reached, or holds something else."""


class NotStoredError(StoreError):
    """A sweep that the store does not hold; perhaps not yet."""


class FitError(ScalingError):
    """Runs from which the asked law cannot be fitted."""


class ForecastError(ScalingError):
    """A question that the runs cannot answer."""


class CheckError(ScalingError):
    """An invariant of the training that does not hold: what was trained here cannot be trusted."""
