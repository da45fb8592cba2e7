from tests.servers import server  # noqa: F401 - a fixture
