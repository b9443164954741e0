from dgreid.reporting import style
from dgreid.reporting.figures import balance


def test_the_gates_of_every_layer_and_run_are_shown(everything):
    metrics, _ = everything
    frame = balance.data(style.grouped(metrics.values()), {})
    with_gates = [name for name, node in metrics.items() if node.get("balance")]
    assert sorted(set(frame["run"])) == sorted(with_gates) and set(frame["layer"]) == {1, 2}
    first = frame[frame["run"] == with_gates[0]].set_index("layer")
    assert first.loc[1, "mean"] == metrics[with_gates[0]]["balance"][0]["mean"]


def test_of_many_runs_each_method_shows_its_lowest_seed(run, everything):
    layers = next(node["balance"] for node in everything[0].values() if node.get("balance"))
    found = [run(method, seed, 40.0, balance=layers) for method in ("bin", "metabin") for seed in range(5)]
    frame = balance.data(style.grouped(found), {})
    few = frame[frame["seed"] < balance.MOST_RUNS // 2]
    with style.applied():
        drawn = [balance.figure(part).axes for part in (few, frame)]
    shown = [[panel.get_title("left") for panel in panels] for panels in drawn]
    assert len(shown[0]) == balance.MOST_RUNS and all("seed" in title for title in shown[0])
    assert shown[1] == ["bin", "metabin"]
