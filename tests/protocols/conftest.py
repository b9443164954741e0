import pytest

from helpers.manifests import SOURCE_A, SOURCE_B, TARGET, TARGET_SPLITS, save


@pytest.fixture
def manifests(tmp_path):
    save(tmp_path, "a", SOURCE_A)
    save(tmp_path, "b", SOURCE_B)
    save(tmp_path, "t", TARGET, TARGET_SPLITS)
    return tmp_path
