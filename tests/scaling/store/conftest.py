"""A sweep of its own for each test, in a database that tests share."""

import hashlib

import pytest


@pytest.fixture
def sweep_name(request):
    """A name that no other test has."""
    return f"sweep-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}"
