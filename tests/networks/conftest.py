import pytest


@pytest.fixture
def models():
    return pytest.importorskip("dgreid.networks.vision").models
