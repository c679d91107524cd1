"""The proxy and the recording upstream of the tables."""

from __future__ import annotations

import pytest

from .stage import Stage


@pytest.fixture(scope="module")
def stage(binary, background, tmp_path_factory):
    one = Stage(tmp_path_factory.mktemp("conformance"), binary, background)
    yield one
    one.stop()
