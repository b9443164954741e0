from dgreid.reporting import style
from dgreid.reporting.figures import bank


def test_bank_is_shown_against_the_average_of_the_domains(everything):
    frame = bank.data(style.grouped(everything[0].values()), {})
    assert list(frame["shift"]) == [0.5, -0.5] and list(frame["ratio"]) == [1.5, 0.5]


def test_the_lines_of_a_deep_network_have_no_markers(everything):
    metrics, _ = everything
    for node in metrics.values():
        if "bank" in node:
            node["bank"] = [{**row, "layer": layer} for layer in range(1, 54) for row in node["bank"]]
    frame = bank.data(style.grouped(metrics.values()), {})
    markers = [
        {line.get_marker() for panel in bank.figure(part).axes for line in panel.lines}
        for part in (frame, frame[frame["layer"] < style.POINTS_WITHOUT_MARKERS])
    ]
    assert markers == [{"None"}, {"o", "s"}]
