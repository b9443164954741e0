import pytest

from dgreid.datasets.parsers import dukemtmc, market1501
from dgreid.errors import UserError


def test_dukemtmc(draw, tmp_path):
    draw(tmp_path, ["DukeMTMC-reID/query/0001_c2_f0046182.jpg"])
    (image,) = dukemtmc.parse(dukemtmc.LAYOUT.find(tmp_path), {}).images
    assert (image.person, image.camera, image.frame, image.role) == ("0001", 1, 46182, "query")
    assert dukemtmc.NAME.match("0001_c9_f0046182.jpg") is None


def test_dukemtmc_is_not_market(draw, tmp_path):
    draw(tmp_path, ["DukeMTMC-reID/query/0001_c2_f0046182.jpg"])
    with pytest.raises(UserError, match="not named as in Market-1501"):
        market1501.parse(market1501.LAYOUT.find(tmp_path), {})
