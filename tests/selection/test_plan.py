import json
import time

import pytest
import yaml

from dgreid import methods
from dgreid.cli import main as cli
from dgreid.errors import UserError
from dgreid.paths import CHECKPOINTS, PROTOCOLS, RUNS
from dgreid.runs.config import load_run
from dgreid.runs.run import chosen
from dgreid.runs.training import task_of
from dgreid.selection import costs
from dgreid.selection.plan import budget_of, config_of, expected_training, plan
from dgreid.stages import train
from helpers import metrics
from helpers.plans import RUN, build_of, cells, cost, matrix, run


def protocol(project, name, **changes):
    path = project / f"params/protocol/{name}.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def test_the_papers_selection_is_planned_without_its_data(root):
    budget = budget_of(load_run(["method=metabin", "backbone=mobilenet_v2_x0_25", "protocol=metabin_dg"]))
    assert not budget.exact and budget.domains == 5
    assert (
        budget.iterations == 186_800 and abs(budget.iterations / 184_900 - 1) < 0.02
    )  # 1849 per epoch in the paper
    assert budget.images == 2 * 80 * 186_800 + 9 * 80  # base and meta batches; ten base ones at first


def test_iterations_of_a_recipe_are_exact_and_images_those_a_run_counted(root):
    for method, images in (("erm", 6_400), ("metabin", 13_376)):  # as reports/metrics has them
        budget = budget_of(load_run([f"method={method}", *RUN, "protocol=miniature"]))
        assert (budget.iterations, budget.images, budget.exact) == (100, images, True)


def test_a_long_training_is_counted_at_once(made):
    long = run("pair", "metabin", "recipe.epochs=100000", "recipe.iterations_per_epoch=10000000")
    short = run("pair", "metabin", "recipe.epochs=1", "recipe.iterations_per_epoch=3000")
    network = build_of(short)
    sizes = costs.batch_sizes(costs.crowd(short, 2), short, network)
    one_by_one = [network.draws(iteration) for iteration in range(3000)]
    images = sum(sizes[name] * count for draws in one_by_one for name, count in draws.items())
    assert (budget_of(short).images, budget_of(short).exact) == (images, True)
    start = time.process_time()
    budget = budget_of(long)
    assert time.process_time() - start < 5
    assert budget.iterations == 10**12 and budget.images == images + (10**12 - 3000) * sum(sizes.values())


def test_draws_that_vary_are_an_estimate(made, monkeypatch):
    each = run("pair", "erm", "recipe.epochs=1", "recipe.iterations_per_epoch=500000")
    monkeypatch.setattr(methods.erm.METHOD, "draws", lambda self, iteration: {"base": 1 + iteration % 2})
    budget = budget_of(each)
    size = sum(costs.batch_sizes(costs.crowd(each, 2), each, build_of(each)).values())
    assert not budget.exact and budget.images == pytest.approx(1.5 * 500_000 * size, rel=0.01)


def test_a_made_protocol_gives_exact_iterations(made):
    each = run("pair", "erm", "recipe.iterations_per_epoch=null")
    training = task_of(train.read_training(PROTOCOLS / "pair")[0], each)
    budget = budget_of(each)
    assert budget.exact and budget.iterations == training.iterations == 2 * (64 // 32 - 1)
    assert budget.images == 32 * training.iterations


def test_expected_counts_stand_in_for_a_protocol_that_is_not_made(project):
    each = run("pair", "erm", "recipe.iterations_per_epoch=null")
    assert expected_training(each) is None and budget_of(each).images is None  # the protocol expects nothing
    protocol(project, "pair", expect={"ids": 100, "images": 1000})
    training = expected_training(run("pair", "erm", "recipe.iterations_per_epoch=null"))
    assert training.iterations_per_epoch == (1000 + 150) // 32 - 1 and training.domains == 2
    by_camera = [{"dataset": "wide", "domain_by": "camera"}]
    protocol(project, "pair", sources=by_camera)
    assert expected_training(run("pair")) is None  # how many cameras nobody says
    protocol(project, "pair", expect={"ids": 100, "images": 1000, "domains": 6})
    assert expected_training(run("pair")).domains == 6


def test_status_is_what_the_files_say(made):
    runs = [run("pair", "erm", f"recipe.epochs={epochs}") for epochs in range(1, 6)]
    done, trained, started, outdated, _ = runs
    for each in (done, trained, outdated):
        cost(RUNS / each.run, each, 100.0)
        (RUNS / each.run / "model.safetensors").touch()
    (made / "reports/metrics").mkdir(parents=True)
    for each in (done, outdated):
        (made / f"reports/metrics/{each.run}.json").write_text(
            json.dumps(metrics.node("erm", 0, 50.0) | {"run": each.run})
        )
    (RUNS / outdated.run / "run.yaml").write_text(yaml.safe_dump({"config": chosen(done)}))
    renamed = chosen(done) | {"method": chosen(done)["method"] | {"title": "Its former title"}}
    (RUNS / done.run / "run.yaml").write_text(yaml.safe_dump({"config": renamed}))
    (CHECKPOINTS / started.run).mkdir(parents=True)
    (CHECKPOINTS / started.run / "last.pt").touch()
    text = plan(matrix(*runs))
    shown = [cells(text, each.run)[1].strip() for each in runs]
    assert shown == ["done", "trained", "started", "outdated", "to do"]
    assert text.endswith("3 of 5 runs still have to be trained; 0.00 hours one after the other.")
    assert plan(matrix(done, trained)).endswith("All 2 runs are trained; 1 still has to be evaluated.")
    assert plan(matrix(done)).endswith("The run is trained.")


@pytest.mark.parametrize("text", ["config: [", "config", "config: x", "config: {seed: 0", "", "\udcff"])
def test_a_damaged_run_is_said_and_to_be_trained_again(made, text, caplog):
    each = run()
    folder = RUNS / each.run
    cost(folder, each, 100.0)
    (folder / "model.safetensors").touch()
    (folder / "run.yaml").write_bytes(text.encode(errors="surrogateescape"))
    shown = plan(matrix(each))
    assert cells(shown, each.run)[1].strip() == "damaged" and "1 of 1 run still has to be trained" in shown
    assert (
        f"{each.run} is damaged, so its speed is ignored" in caplog.text
        and "the speed of 1 is unknown" in shown
    )


def test_damaged_metrics_are_a_sentence(made, capsys):
    (made / "reports/metrics").mkdir(parents=True)
    (made / "reports/metrics/half.json").write_text(json.dumps(metrics.node("erm", 0, 50.0))[:400])
    assert cli.main(["plan", "miniature"]) == 1
    sentence = "reports/metrics/half.json is damaged: evaluate the run again with `dvc repro evaluate@half`."
    assert capsys.readouterr().err == f"error: {sentence}\n"


def test_missing_data_are_counted_and_named(project):
    protocol(project, "pair", sources=[{"dataset": "viper"}, {"dataset": "grid"}])
    text = plan(matrix(run("pair", "erm")))
    assert "lacks 2 sets" in text and "protocol pair: lacks viper, grid." in text
    assert "1 of them waits for data" in text


def test_totals_add_up_what_is_to_be_trained(made):
    cost(RUNS / "same", run(), 2.0)
    runs = [run("pair", "erm", f"recipe.epochs={epochs}") for epochs in (100, 300)]
    total = next(line for line in plan(matrix(*runs)).splitlines() if line.startswith("still to train: 2"))
    assert total.split()[-3:] == ["800", "25,600", f"{25_600 / 2 / 3600:.2f}"]
    mixed = plan(matrix(*runs, run("pair", "metabin")))
    assert f"{25_600 / 2 / 3600:.2f} hours one after the other for the runs whose speed is known" in mixed
    assert "> 3.56" in mixed


def test_a_run_that_cannot_be_trained_is_said(project):
    protocol(project, "alone", expect={"ids": 8})
    with pytest.raises(UserError, match="lower method"):
        plan(matrix(run("alone", "metabin")))


def test_changed_settings_of_a_selection_are_planned_as_they_are(project):
    changed = run("pair", "erm", "recipe.epochs=7")
    assert config_of(matrix(changed)["runs"][changed.run]) == changed


def test_the_command_plans_and_leaves_no_trace(project, capsys):
    node = yaml.safe_load((project / "params/matrices/miniature.yaml").read_text())
    node["blocks"] = [node["blocks"][0] | {"methods": ["metabin"], "seeds": [0, 1]}]
    (project / "params/matrices/mine.yaml").write_text(yaml.safe_dump(node))
    before = (project / "params/matrix.yaml").read_text()
    assert cli.main(["plan", "mine"]) == 0
    said = capsys.readouterr().out
    assert "metabin-resnet_tiny-miniature-s0" in said and "2 of 2 runs still have to be trained" in said
    assert (project / "params/matrix.yaml").read_text() == before
    assert not (project / "logs").exists() and not (project / "reports").exists()
    assert cli.main(["plan"]) == 0  # of params/matrix.yaml
    capsys.readouterr()
    for words in (["report", "--matrix", "mine", "--plan"], ["report", "--plan", "--matrix", "mine"]):
        assert cli.main(words) == 0  # as earlier versions say it
        assert capsys.readouterr().out == said
    for words, sentence in (
        (["plan", "min"], "did you mean 'mine'"),
        (["report", "--plan", "--matrix", "min"], "did you mean 'mine'"),
        (["report", "--plan", "--photographs"], "unrecognized arguments: --photographs"),
        (["report", "--matrix", "mine"], "unrecognized arguments: --matrix mine"),
        (["plan", "mine", "--matrix", "mine"], "not allowed with"),
    ):
        assert cli.main(words) == 1
        said = capsys.readouterr()
        assert sentence in said.err and said.err.count("\n") == 1 and not said.out
