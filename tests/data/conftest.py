from tests.corpora import how2sign, phoenix  # noqa: F401 - fixtures
