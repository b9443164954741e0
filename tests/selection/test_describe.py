import re
import shutil
from pathlib import Path

import pytest
import yaml

from dgreid import params
from dgreid.cli import main as cli

FILES = {
    "method/mine": {
        "code": "metabin",
        "title": "Mine",
        "provenance": "reconstruction",
        "learning_rate": 0.01,
        "margin": 0.5,
        "cycle_epochs": 5.0,
    },
    "backbone/mine": {"architecture": "resnet_tiny", "last_stride": 2},
    "recipe/mine": {"epochs": 3, "weights": "none", "milestones": [1]},
    "image/mine": {
        "height": 64,
        "width": 32,
        "train": [{"operation": "flip"}, {"operation": "pad_crop", "padding": 3}],
    },
    "dataset/mine": {
        "title": "Mine",
        "parser": "grid",
        "access": "drawn",
        "miniature": {"sizes": {"pairs": 8, "distractors": 2}},
    },
    "protocol/mine": {
        "title": "Mine",
        "recipe": "mine",
        "image": "mine",
        "sources": [{"dataset": "viper"}, {"dataset": "grid", "domain_by": "camera"}],
        "targets": [{"name": "iLIDS", "dataset": "ilids", "split_set": "ilids/rand10"}],
    },
}


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    shutil.copytree("params", tmp_path / "params")
    for name, node in FILES.items():
        (tmp_path / f"params/{name}.yaml").write_text(yaml.safe_dump(node))
    monkeypatch.chdir(tmp_path)


def described(capsys, *words: str) -> str:
    assert cli.main(["describe", *words]) == 0
    return capsys.readouterr().out


def rows(text: str) -> dict[str, tuple[str, str, str]]:
    """Setting -> value, from, meaning of every table, wrapped lines joined; later tables win."""
    found, columns, name = {}, None, ""
    for line in text.splitlines():
        if line.startswith("setting "):
            columns = [match.start() for match in re.finditer(r"\S+", line)]
        elif columns and not line:
            columns = None
        elif columns and not line.startswith("---"):
            name_part, *parts = (
                line[start:stop].strip() for start, stop in zip(columns, [*columns[1:], None], strict=True)
            )
            name = name_part or name
            old = found.get(name, ("", "", "")) if not name_part else ("", "", "")
            found[name] = tuple(f"{a} {b}".strip() for a, b in zip(old, parts, strict=True))
    return found


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (
            "method",
            {
                "margin": ("0.5", "file", "of the triplet loss (default: 0.3)"),
                "cycle_epochs": ("5.0", "file", "period of c, in epochs"),  # the file repeats the default
                "gate_learning_rate": ("0.1", "default", "gamma, the step of the meta-test update"),
                "meta_test_losses": ("{triplet: 1.0}", "default", "weight of each loss"),
            },
        ),
        (
            "backbone",
            {
                "architecture": ("resnet_tiny", "file", "module in src/dgreid/networks/backbones"),
                "last_stride": ("2", "file", "stride of the third block; 1 keeps its resolution"),
            },
        ),
        (
            "recipe",
            {
                "batch_size": (
                    "null",
                    "default",
                    "images in a batch from all sources pooled; null: P x K x domains",
                ),
                "milestones": (
                    "[1.0]",
                    "file",
                    "steps: epochs after which the rate is divided by ten (default: [40, 70])",
                ),
            },
        ),
        (
            "image",
            {
                "height": ("64", "file", "of a network's input, in pixels"),
                "train[].operation": ("flip, pad_crop", "file", "module in src/dgreid/images/operations"),
                "train[].padding": (
                    "3",
                    "file",
                    "zeros on each side, in pixels; also the largest shift (default: 10)",
                ),
                "train[].probability": ("0.5, 1.0", "default", "that an image is changed"),
            },
        ),
        (
            "dataset",
            {
                "home": ('""', "default", "web page with the data and their terms"),
                "miniature.spread": ("1.0", "default", "style spread k of the domain prior"),
                "miniature.sizes": (
                    "{distractors: 2, pairs: 8}",
                    "file",
                    "the counts that the writer of this layout needs",
                ),
            },
        ),
        (
            "protocol",
            {
                "recipe": ("mine", "file", "recipe of this protocol's runs, unless a run names another"),
                "sources[].dataset": ("viper, grid", "file", "name in params/dataset"),
                "sources[].domain_by": (
                    "dataset, camera",
                    "file",
                    "camera: each camera is a domain of its own (default: dataset)",
                ),
                "targets[].splits": ("null", "default", "evaluate only the first n splits; null: all"),
            },
        ),
    ],
)
def test_a_file_is_described_with_values_origins_and_meanings(project, capsys, group, expected):
    text = described(capsys, f"{group}=mine")
    assert text.startswith(f"{group} mine (params/{group}/mine.yaml)\n")
    assert max(map(len, text.splitlines())) <= 100
    found = rows(text)
    for name, (value, origin, meaning) in expected.items():
        assert found[name][:2] == (value, origin), name
        assert found[name][2] == meaning, name


GROUPS = (
    "method", "backbone", "protocol", "targets", "recipe", "image", "dataset", "tables", "matrices",
)  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_every_shipped_file_can_be_described_and_shows_what_it_sets(root, capsys, group):
    for name in params.names(group):
        text = described(capsys, f"{group}={name}")
        found = {key.split("[")[0].split(".")[0] for key in rows(text)}
        missing = {key for key, value in params.read(group, name).items() if value not in ([], None)} - found
        assert missing <= {"name"}, name


def test_every_base_can_be_described_and_shows_what_it_states(root, capsys):
    bases = sorted(Path("params").glob("*/_*.yaml"))
    assert len(bases) > 5
    for path in bases:
        text = described(capsys, f"{path.parent.name}={path.stem}")
        assert text.startswith(f"{path.parent.name} {path.stem} ({path}")
        shown = rows(text)
        for key, value in yaml.safe_load(path.read_text()).items():
            assert key == "defaults" or shown[key][1] == "file", (path, key)
            assert key == "defaults" or isinstance(value, str | None) or shown[key][0]


def test_each_value_names_its_base_and_brings_the_comment_behind_it(root, tmp_path, monkeypatch, capsys):
    (tmp_path / "params/recipe").mkdir(parents=True)
    (tmp_path / "params/recipe/_far.yaml").write_text(
        "epochs: 5\nmomentum: 0.8\nnesterov: true  # of the far\n"
    )
    (tmp_path / "params/recipe/_near.yaml").write_text(
        "defaults: [_far, _self_]\nmomentum: 0.7  # of the near\n"
    )
    (tmp_path / "params/recipe/mine.yaml").write_text(
        "# Section 4.\n# And more.\ndefaults: [_near, _self_]\nepochs: 6  # they say 7\n# not this\n"
    )
    monkeypatch.chdir(tmp_path)
    text = described(capsys, "recipe=mine")
    assert text.startswith(
        "recipe mine (params/recipe/mine.yaml, based on _far, _near)\n# Section 4.\n# And more.\n\n"
    )
    found = rows(text)
    assert found["epochs"] == ("6", "file", "length of training # they say 7")
    assert found["momentum"][:2] == ("0.7", "_near") and found["momentum"][2].endswith("# of the near")
    assert found["nesterov"][:2] == ("true", "_far") and found["gamma"][1] == "default"


def test_sections_inside_sections_are_shown_one_by_one(root, capsys):
    found = rows(described(capsys, "tables=m3l_t4"))
    assert found["parts[].columns[].target"][:2] == ("market1501, cuhk03", "file")
    assert found["parts[].rows[].row"][0] == "1, 2, 3" and "m3l_paper" in found["parts[].rows[].runs"][0]
    found = rows(described(capsys, "targets=small_four"))
    assert found["targets[].dataset"][:2] == ("viper, prid2011, grid, ilids", "file")  # written as `set: ...`


def test_a_run_is_described_group_by_group(project, capsys):
    words = ["method=mine", "backbone=mine", "protocol=mine", "image=64x32", "seed=3"]
    text = described(capsys, *words, "recipe.epochs=7", "method.meta_train_losses.scatter=2")
    assert re.match(r"run mine-mine-mine-s3-\w{6}, seed 3\n", text)
    headings = re.findall(r"^(\w+) \S+ \(params/.*\)$", text, re.M)
    assert headings == ["method", "backbone", "protocol", "recipe", "image"]
    assert "recipe mine (params/recipe/mine.yaml, proposed by protocol mine)" in text
    assert "image 64x32 (params/image/64x32.yaml)" in text  # chosen by a word
    found = rows(text)
    assert found["epochs"][:2] == ("7", "command")
    assert found["meta_train_losses"][1] == "command" and "scatter: 2" in found["meta_train_losses"][0]
    assert found["margin"][:2] == ("0.5", "file") and found["weight_decay"][1] == "default"


def test_a_file_is_described_as_overrides_of_its_own_group_change_it(root, capsys):
    before = rows(described(capsys, "recipe=miniature"))
    found = rows(described(capsys, "recipe=miniature", "recipe.epochs=5", "recipe.milestones=[1,2.5]"))
    changed = {name for name in found if found[name] != before[name]}
    assert changed == {"epochs", "milestones"}
    assert found["epochs"] == ("5", "command", "length of training")
    assert found["milestones"][:2] == ("[1.0, 2.5]", "command")
    found = rows(described(capsys, "method=metabin", "method.meta_train_losses.scatter=2"))
    assert "scatter: 2" in found["meta_train_losses"][0] and "triplet" in found["meta_train_losses"][0]
    found = rows(described(capsys, "image=64x32", "image.train.0.probability=0.25"))
    assert found["train[].probability"][0].startswith("0.25")


def test_what_is_described_with_an_override_is_what_a_run_has(root, capsys):
    words = [
        "recipe=metabin",
        "recipe.decay=cosine",
        "recipe.milestones=[40,70]",
        "recipe.weights=my/w=1.pth",
    ]
    alone = rows(described(capsys, *words))
    whole = rows(described(capsys, "method=erm", "backbone=resnet_tiny", "protocol=miniature", *words))
    assert {name: whole[name][:2] for name in alone} == {name: row[:2] for name, row in alone.items()}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["recipe=miniature", "recipe.epochz=5"], "mean 'epochs'?"),
        (["recipe=miniature", "recipe.epochs=many"], "recipe miniature.epochs: "),
        (["recipe=miniature", "recipe.epochs=[1"], "recipe.epochs=[1 has no value that can be read"),
        (["recipe=miniature", "recipe.floor=0.5"], "recipe.floor means nothing with recipe.decay=steps"),
        (["recipe=miniatur", "recipe.epochs=5"], "unknown recipe 'miniatur': did you mean 'miniature'?"),
        (["recipe=_base", "recipe.epochs=5"], "unknown recipe '_base'"),
        (["image=64x32", "image.train.7.probability=0.5"], "image.train has entries 0 to"),
        (["dataset=grid", "dataset.title=Mine"], "unknown key 'dataset.title'"),
        (["recipe=miniature", "method.margin=1"], "which method?"),
        (["method=metabim"], "unknown method 'metabim': did you mean 'metabin'?"),
        (["dataset=vipr"], "unknown dataset 'vipr': did you mean 'viper'?"),
        (["targets=smal_four"], "unknown target group 'smal_four': did you mean 'small_four'?"),
        (["tables=m3l_t9"], "unknown table 'm3l_t9': did you mean 'm3l_t"),
        (["matrices=stori"], "unknown matrix 'stori': did you mean 'story'?"),
        (["method=_metabn"], "unknown base in params/method: '_metabn': did you mean '_metabin'?"),
        (["image=_none"], "unknown base in params/image: '_none': Known: none."),
        (["table=m3l_t1"], "unknown group 'table': did you mean 'tables'?"),
        (["backbon=resnet50"], "unknown group 'backbon': did you mean 'backbone'?"),
        (["metabin"], "'metabin' is not of the form key=value"),
        (["method=erm", "recipe=miniature"], "which backbone?"),
        (["method=erm", "backbone=resnet_tiny", "protocol=miniature", "method.margn=1"], "mean 'margin'?"),
        ([], "see `dgreid describe --help`"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest_one(root, capsys, words, sentence):
    assert cli.main(["describe", *words]) == 1
    said = capsys.readouterr()
    assert sentence in said.err and said.err.count("\n") == 1 and not said.out
