from itertools import pairwise

from dgreid.reporting import style
from dgreid.reporting.figures import cost
from helpers.figures import boxes


def test_cost_compares_methods_on_one_kind_of_device(run):
    found = [run("erm", 0, 40.0), run("metabin", 0, 45.0), run("metabin", 0, 46.0, "method.margin=0.1")]
    for node in found:
        node["cost"]["threads"] = 1
    frame = cost.data(style.grouped(found), {})
    assert list(frame["run"]) == [
        node["run"] for node in found[:2]
    ]  # the variant costs what it costs unchanged
    assert set(frame["panel"]) == {"miniature (miniature data), cpu, 1 thread"}
    assert list(frame["parameters"]) == [1.234567] * 2
    found[0]["cost"]["device"] = "NVIDIA X"
    assert cost.data(style.grouped(found), {}).empty


def test_seconds_of_training_are_plain_numbers_that_do_not_meet(run):
    found = [run("erm", 0, 40.0), run("bin", 0, 42.0), run("metabin", 0, 45.0)]
    for node, seconds in zip(found, (28.0, 60.0, 505.0), strict=True):
        node["cost"]["seconds"] = seconds
    with style.applied():
        drawn = cost.figure(cost.data(style.grouped(found), {}))
        drawn.draw_without_rendering()
    panel = drawn.axes[0]
    low, high = panel.get_xlim()
    labels = [text for text in panel.get_xticklabels() if low <= text.get_position()[0] <= high]
    assert [text.get_text() for text in labels] == ["50", "100", "200", "500"]
    assert not any(text.get_text() for text in panel.get_xticklabels(minor=True))
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes(labels)))
