"""The `scaling` command: one short function a verb, each the mirror of one library call.

The composition root, the only place that sees all three packages: it loads, calls, prints or saves,
and computes nothing. Heavy modules are imported inside the verb that needs them, so that --help is
instant. `command.py` says which verb takes which options; the verbs live in `verbs/`, by what they
do: answer from runs, ask models, spend compute, make pages.

With --json exactly one JSON document goes to standard output; everything else goes to standard
error. A mistake that the input explains is one line and exit code 2.
"""

from scaling.cli.command import VERBS, main

__all__ = ["VERBS", "main"]
