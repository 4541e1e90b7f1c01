from collections.abc import Iterator

import pytest

from tests.testing import called


@pytest.fixture(
    params=[
        pytest.param("in a transaction", marks=pytest.mark.django_db),
        pytest.param("committed", marks=pytest.mark.django_db(transaction=True)),
    ]
)
def database() -> None:
    """As in Django's TestCase, and as in its TransactionTestCase."""


@pytest.fixture(autouse=True)
def _server_s_clock() -> None:
    """Not here: these tests have Python's clock, as those of a project."""


@pytest.fixture(autouse=True)
def _nothing_called() -> Iterator[None]:
    yield
    called.clear()
