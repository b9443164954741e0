import pandas as pd
import pytest

from dgreid.errors import UserError
from dgreid.protocols import build, read_protocol, write
from helpers.manifests import config


def test_written_and_read_back_the_same(manifests, tmp_path):
    protocol = build(config(), manifests)
    write(tmp_path / "p", protocol)
    again = read_protocol(tmp_path / "p")
    pd.testing.assert_frame_equal(again.train, protocol.train)
    assert (again.name, again.kind, again.domains) == (protocol.name, protocol.kind, protocol.domains)
    for mine, other in zip(protocol.targets["T"], again.targets["T"], strict=True):
        pd.testing.assert_frame_equal(mine[0], other[0])
        pd.testing.assert_frame_equal(mine[1], other[1])
    write(tmp_path / "q", again)
    for name in ("train.parquet", "targets.parquet"):
        assert (tmp_path / "q" / name).read_bytes() == (tmp_path / "p" / name).read_bytes()


def test_a_new_target_leaves_the_training_file_as_it_is(manifests, tmp_path):
    write(tmp_path / "p", build(config(), manifests))
    more = [{"name": n, "dataset": "t", "split_set": "t/two"} for n in ("Z", "A")]
    write(tmp_path / "q", build(config(targets=more), manifests))
    assert (tmp_path / "q/train.parquet").read_bytes() == (tmp_path / "p/train.parquet").read_bytes()
    assert (tmp_path / "q/targets.parquet").read_bytes() != (tmp_path / "p/targets.parquet").read_bytes()


def test_targets_keep_their_order(manifests, tmp_path):
    targets = [{"name": n, "dataset": "t", "split_set": "t/two"} for n in ("Z", "A", "M")]
    write(tmp_path / "p", build(config(targets=targets), manifests))
    assert list(read_protocol(tmp_path / "p").targets) == ["Z", "A", "M"]


def test_reading_what_is_no_protocol(tmp_path):
    with pytest.raises(UserError, match="dgreid protocol protocol=nothing"):
        read_protocol(tmp_path / "nothing")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/train.parquet").write_bytes(b"no")
    with pytest.raises(UserError, match="not a protocol file"):
        read_protocol(tmp_path / "bad")
