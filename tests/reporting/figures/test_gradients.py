from dgreid.reporting import style
from dgreid.reporting.figures import gradients


def test_gradients_are_drawn_where_they_were_measured(everything):
    metrics, histories = everything
    frame = gradients.data(style.grouped(metrics.values()), histories)
    assert set(frame["loss"]) == {"scatter", "triplet"} and set(frame["iteration"]) == {10, 30}
