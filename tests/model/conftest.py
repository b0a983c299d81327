"""What all tests of the model share."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _few_mixtures(few_mixtures):
    """Most of these tests train, and none needs many mixtures."""
