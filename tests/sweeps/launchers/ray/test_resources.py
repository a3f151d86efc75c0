"""Facts about what is read from Ray's own words about nodes that do not run yet."""

import pytest

from scaling.errors import ConfigError
from sweeps.launchers.ray.resources import pending_nodes

STATUS = """======== Autoscaler status: 2026-11-28 19:20:38.691251 ========
Node status
---------------------------------------------------------------
Active:
 1 ray.head.default
Idle:
 (no idle nodes)
Pending:
{}
Recent failures:
 larger: LaunchFailed (latest_attempt: 19:20:38)

Resources
---------------------------------------------------------------
Total Usage:
 0.0/1.0 CPU
"""


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        (STATUS.format(" (no pending nodes)"), []),
        (STATUS.format(" larger, 1 launching"), ["larger, 1 launching"]),
        (
            STATUS.format(" larger, 2 launching\n 10.0.0.7: small, setting up"),
            ["larger, 2 launching", "10.0.0.7: small, setting up"],
        ),
        ("No cluster status. It may take a few seconds for the Ray internal services to", []),
    ],
)
def test_nodes_that_are_coming_are_those_that_ray_status_lists_as_pending(text, nodes):
    assert pending_nodes(text) == nodes


@pytest.mark.parametrize("text", ["", "Traceback (most recent call last):\nValueError: no\n"])
def test_a_status_that_does_not_tell_of_pending_nodes_is_one_line(text):
    with pytest.raises(ConfigError, match="does not tell which nodes are coming") as caught:
        pending_nodes(text)
    assert "\n" not in str(caught.value)
