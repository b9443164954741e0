import pytest

from dgreid.reporting import style
from helpers.figures import boxes


@pytest.mark.parametrize("across", [1, 2])
def test_a_long_title_takes_several_lines_in_the_page(across):
    with style.applied():
        drawn, panels = style.panels(across)
        before = drawn.get_figheight()
        style.title(drawn, "Scores and their cost: " + "a selection of many words " * 6)
        drawn.draw_without_rendering()
    (box,) = boxes(drawn.texts)
    assert box.x0 > 0 and box.x1 < drawn.bbox.width
    assert drawn.get_figheight() > before and box.y0 > panels[0].get_window_extent().y1
    style.title(drawn, "Short")
    assert drawn.get_suptitle() == "Short"


def test_groups_of_runs_are_labelled_by_what_tells_them_apart(make):
    one, two = make("erm", 0, 40.0), make("erm", 0, 40.0) | {"backbone": "resnet50", "run": "other"}
    assert [group.label for group in style.grouped([one])] == ["BN baseline"]
    assert [group.label for group in style.grouped([one, two])] == [
        "BN baseline, tiny_net",
        "BN baseline, resnet50",
    ]
    assert [len(group.runs) for group in style.grouped([one, make("erm", 1, 41.0)])] == [2]
