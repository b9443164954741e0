"""What a data set's terms ask for, and where to get it."""

import pytest

from dgreid.datasets.adopt import archive, terms
from dgreid.datasets.config import load_dataset
from dgreid.errors import UserError


@pytest.mark.parametrize("access", ["withdrawn", "request"])
def test_restricted_data_need_an_acknowledgement(market, config, tmp_path, access):
    restricted = config("market1501", access=access)
    with pytest.raises(UserError, match="--acknowledge"):
        archive.adopt(restricted, market, tmp_path / "raw")
    archive.adopt(restricted, market, tmp_path / "raw", acknowledge=True)
    assert archive.read_record(tmp_path / "raw/market1501")["acknowledged"] is True


@pytest.mark.parametrize("access", ["open", "request", "agreement", "withdrawn", "drawn"])
def test_nothing_is_downloaded_and_every_set_says_where_to_ask(config, access):
    said = terms.where_to_ask(config("grid", access=access, home="https://example.org/terms"))
    assert said.endswith(".") and said.count(". ") == 0
    assert ("https://example.org/terms" in said) == (access in ("open", "request", "agreement"))
    assert ("withdrawn" in said) == (access == "withdrawn")
    assert "its authors" in terms.where_to_ask(config("grid"))


def test_dukemtmc_ships_as_withdrawn(root):
    assert load_dataset("dukemtmc").access == "withdrawn"
