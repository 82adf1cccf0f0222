from __future__ import annotations

from collections.abc import Iterator

import pytest

from concordat.connectors.tryton import TrytonConnector
from concordat.tryton_server import Tryton
from tests.tryton.running import connector, shared


@pytest.fixture
def tryton(pytestconfig: pytest.Config) -> Tryton:
    return shared(pytestconfig)


@pytest.fixture
def erp(tryton: Tryton) -> Iterator[TrytonConnector]:
    made = connector(tryton)
    yield made
    made.close()
