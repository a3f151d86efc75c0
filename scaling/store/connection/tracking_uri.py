"""Which tracking store is in force, and its address with and without credentials.

The store is MLflow's own ``MLFLOW_TRACKING_URI``, or ``sqlite:///mlflow.db`` in the working
directory. Credentials stay in MLflow's environment variables: what is printed, stored or sent to a
worker has none, and a connection looks them up where it is made.
"""

import os
import re
from pathlib import Path

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
_OURS = "MLFLOW_TRACKING_"
_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_SHORTEST_SECRET = 4  # a shorter one stands in many a harmless word


def resolve_tracking_uri(tracking_uri: str | None = None) -> str:
    """The tracking URI in force, with a SQLite path made absolute (workers may move about).

    Credentials of the environment's own are left out; see `with_credentials`.
    """
    named = os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI
    uri = tracking_uri or without_credentials(named)
    if uri.startswith("sqlite:///"):
        return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).absolute()}"
    return uri


def with_credentials(uri: str) -> str:
    """The URI as a connection needs it: the environment's own, where that is the same place."""
    named = os.environ.get("MLFLOW_TRACKING_URI", "")
    return named if without_credentials(named) == uri else uri


def without_credentials(uri: str) -> str:
    """The URI without user and password."""
    uri = re.sub(r"://[^/\s]*@", "://", uri)
    return re.sub(r"[?&]((ssl)?password|user)=[^&\s]*", "", uri)


def without_secrets(message: str) -> str:
    """A message of a library, as it may be printed or stored."""
    message = without_credentials(message)
    for name in _SECRETS:
        secret = os.environ.get(name, "")
        if len(secret) >= _SHORTEST_SECRET:
            message = message.replace(secret, f"[{name}]")
    return message


def tracking_environment() -> dict[str, str]:
    """What a worker elsewhere needs to know to reach the same store: handed over in memory only."""
    return {name: value for name, value in os.environ.items() if name.startswith(_OURS)}
