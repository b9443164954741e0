from dgreid.reporting import style
from dgreid.reporting.figures import course


def test_the_course_has_every_layer_and_row(everything):
    metrics, histories = everything
    first = next(name for name, node in metrics.items() if node["method"] == "metabin")
    frame = course.data(style.grouped(metrics.values()), {first: histories[first]})
    assert list(frame["layer"]) == [1, 1, 1, 2, 2, 2] and list(frame["mean"]) == [0.9, 0.8, 0.7] * 2
