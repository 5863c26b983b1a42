import pytest
from tests.collect.client import Client


@pytest.fixture
def client() -> Client:
    return Client()
