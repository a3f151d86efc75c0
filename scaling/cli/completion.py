"""Completion of verbs, options and files at a shell's prompt: a script that shtab writes once.

A script needs nothing of ours while it completes; argcomplete would start Python at every TAB.
"""

import argparse

from scaling.errors import ConfigError

SHELLS = ("bash", "zsh", "tcsh")
_FILES = ("CONFIG", "SOURCE", "FILE", "FILES", "DIR", "POINTS.csv")


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for this shell; ConfigError where shtab is not installed."""
    try:
        import shtab
    except ImportError as error:
        raise ConfigError(
            "--print-completion needs shtab; install it with: "
            "pip install 'scaling-forecast[completion]'"
        ) from error
    for action in _actions(parser):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell=shell))


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Those of all verbs."""
    (verbs,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return [action for verb in verbs.choices.values() for action in verb._actions]
