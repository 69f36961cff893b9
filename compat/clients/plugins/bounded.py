"""No test may take longer than TEST_DEADLINE seconds, whatever limit it gives itself."""

import os

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.timeout(float(os.environ["TEST_DEADLINE"])), append=False)
