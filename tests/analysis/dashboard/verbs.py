"""What a page shows beside what a verb prints of the same question."""

import base64
import html
import json
import re

import numpy as np

from scaling.cli import main


def printed(capsys, *words, code=0):
    """What a verb prints with --json."""
    assert main([*map(str, words), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def numbers(values):
    """Numbers of a trace; Plotly packs arrays."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return np.array(values, dtype=float)


def tiles(test):
    """The facts that stand side by side on a page, by their names."""
    bodies = " ".join(one.proto.body for one in test.get("html"))
    found = re.findall("<div><div>([^<]*)</div><strong>([^<]*)</strong></div>", bodies)
    return {html.unescape(name): html.unescape(value) for name, value in found}
