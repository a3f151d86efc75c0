"""Imported once by the process that local workers are forked from: a new one is ready at once."""

import sweeps.training.pack  # noqa: F401  torch and Lightning: seconds
from scaling.store.connection.mlflow_client import import_mlflow

import_mlflow()
