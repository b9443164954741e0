import pandas as pd

from dgreid.reporting import style
from dgreid.reporting.figures import losses


def test_losses_in_parts_or_as_a_sum(everything, run):
    metrics, histories = everything
    other = run("m3l", 0, 41.0)
    sums = pd.DataFrame(
        {"iteration": [1, 2], "epoch": [1, 2], "meta_train": [2.0, 1.0], "meta_test": [3.0, 2.0]}
    )
    groups = style.grouped([*metrics.values(), other])
    frame = losses.data(groups, histories | {other["run"]: sums}).groupby("run")["loss"].unique()
    assert list(frame[other["run"]]) == ["meta_train", "meta_test"]
    first = next(name for name, node in metrics.items() if node["method"] == "metabin")
    assert list(frame[first]) == ["meta_scatter", "meta_shuffle", "meta_triplet", "meta_test"]
    assert not any("erm" in name for name in frame.index)
