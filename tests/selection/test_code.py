import re
import shutil
from pathlib import Path
from typing import Annotated

import pytest
import yaml

from dgreid import params, schema
from dgreid.imports import Sources
from dgreid.protocols.config import load_protocol
from dgreid.runs.config import GROUPS, load_run
from dgreid.selection import code
from helpers.copied import METABIN


@pytest.fixture
def changed(copied, selected):
    """The items that have another content now than before the test."""
    before = selected[1]
    assert len(before) > 30

    def now() -> set[str]:
        after = copied.items()
        return {item for item in before.keys() | after.keys() if before.get(item) != after.get(item)}

    return now


def runs(*names: str) -> set[str]:
    return {f"{stage}/{name}" for stage in ("train", "evaluate") for name in names}


def test_what_is_added_changes_no_item(copied, changed):
    for name in (
        "methods/fresh.py",
        "networks/backbones/fresh.py",
        "networks/norms/fresh.py",
        "images/operations/fresh.py",
        "datasets/parsers/fresh.py",
        "miniature/writers/fresh.py",
    ):
        copied.source(name, "from dgreid.methods import erm\n")
    shutil.copy("params/method/erm.yaml", "params/method/fresh.yaml")
    shutil.copy("params/backbone/resnet_tiny.yaml", "params/backbone/fresh.yaml")
    shutil.copy("params/dataset/mini_grid.yaml", "params/dataset/fresh.yaml")
    assert changed() == set()


@pytest.mark.parametrize(
    ("name", "users"),
    [
        ("methods/metabin.py", runs(METABIN, METABIN.replace("s0", "s1"))),
        ("datasets/parsers/grid.py", {"manifest/mini_grid"}),
        ("miniature/writers/grid.py", {"synthesize/mini_grid"}),
        ("miniature/things.py", {"pretrain/mobilenet_v2_x0_25", "pretrain/resnet_tiny"}),
        ("training/start.py", {"pretrain/mobilenet_v2_x0_25", "pretrain/resnet_tiny", "report"}),
        ("reporting/figures/cost.py", {"report"}),
        ("reporting/tsne.py", set()),  # a command of its own
        ("errors.py", set()),
    ],
)
def test_an_edit_reaches_exactly_its_users(copied, changed, name, users):
    copied.source(name, "EDITED = True\n")
    assert changed() == users


def test_an_edit_of_a_norm_reaches_its_runs_and_the_tables_that_count_its_parameters(copied, changed):
    copied.source("networks/norms/bin.py", "EDITED = True\n")
    assert changed() == runs(METABIN, METABIN.replace("s0", "s1")) | {"report"}


def test_an_edit_of_an_image_operation_reaches_the_training_of_its_runs(copied, changed):
    copied.source("images/operations/color_jitter.py", "EDITED = True\n")
    jittered = {name for name, run in copied.matrix["runs"].items() if run["image"] == "256x128_jitter"}
    assert len(jittered) == 1
    assert changed() == {f"train/{name}" for name in jittered}


def test_an_added_figure_is_drawn(copied, changed):
    copied.source("reporting/figures/fresh.py", "ORDER = 1000\n")
    assert changed() == {"report"}


def test_an_edit_of_a_backbone_reaches_its_runs_and_the_tables_that_count_networks(copied, changed):
    copied.source("networks/backbones/resnet_tiny.py", "EDITED = True\n")
    tiny = {name for name in copied.matrix["runs"] if "resnet_tiny" in name}
    assert changed() == runs(*tiny) | {"report", "pretrain/resnet_tiny"}


@pytest.mark.parametrize("method", ["dualnorm", "dualnorm_metabin", "snr", "qaconv"])
def test_a_run_depends_on_its_own_backbone_alone(root, method):
    run = load_run([f"method={method}", "backbone=resnet_tiny", "protocol=miniature"])
    folder = "dgreid/networks/backbones"
    found = {file for file in code.executed("train", run) if file.startswith(folder)}
    assert found - {f"{folder}/__init__.py"} == {f"{folder}/resnet_tiny.py"}


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("training/loop.py", "train"),
        ("methods/schedules.py", "train"),
        ("evaluation/ranking.py", "evaluate"),  # not the report, which reads what each query scored
        ("stages/member.py", "member"),
    ],
)
def test_an_edit_of_what_one_stage_executes_reaches_no_other_stage(copied, changed, name, stage):
    copied.source(name, "EDITED = True\n")
    assert changed() == {item for item in copied.items() if item.startswith(f"{stage}/")}


def test_remarks_change_no_item(copied, changed):
    for name in ("methods/erm.py", "training/loop.py", "stages/report.py", "evaluation/ranking.py"):
        copied.source(name, '\n\n# a remark\n"""A text that stands alone."""\n')
    assert changed() == set()


class Named(schema.Strict):
    """Names a method as its options do."""

    code: Annotated[str, schema.Module("dgreid.methods")] = "fresh"


def test_a_chain_of_methods_is_followed(copied):
    copied.source("methods/fresh.py", "def late():\n    from dgreid.methods import middle\n")
    copied.source("methods/middle.py", "from dgreid.methods.erm import ERM\n")

    def now() -> dict[str, str]:
        return code.code("train", Named(), Sources(copied.folder / "src" / "dgreid"))

    before = now()
    assert {f"dgreid/methods/{name}.py" for name in ("fresh", "middle", "erm")} <= before.keys()
    copied.source("methods/erm.py", "EDITED = True\n")
    assert [name for name, digest in now().items() if before.get(name) != digest] == ["dgreid/methods/erm.py"]


def test_the_settings_of_the_start_reach_the_start_alone(copied, changed):
    path = Path("params/start/drawn.yaml")
    path.write_text(path.read_text().replace("looks: 16", "looks: 17"))
    assert changed() == {"pretrain/mobilenet_v2_x0_25", "pretrain/resnet_tiny"}


def test_what_is_imported_by_a_name_in_params_is_marked_there(root, selected):
    """Else no import statement leads to it, and a run would not depend on code that it executes."""
    source = root / "src"
    marks = {
        mark
        for file in source.rglob("*.py")
        for mark in re.findall(r'Module\("(dgreid[\w.]+)"', file.read_text())
    }
    assert len(marks) >= 4
    executed = {file for node in selected[1].values() for file in node["code"]}
    for file in executed:
        if re.search(r"\b(import_module|Registry)\(", (source / file).read_text()):
            package = ".".join(Path(file).parent.parts)
            inside = {f"{name.replace('.', '/')}.py" for name in Sources().inside(package)}
            assert (inside and inside <= executed) or any(
                f"{mark}.".startswith(f"{package}.") for mark in marks
            ), file


def test_settings_reach_the_items_that_use_them(copied, changed):
    path = Path("params/method/metabin.yaml")
    path.write_text("# a remark\n" + path.read_text() + "margin: 0.25\n")
    path = Path("params/dataset/mini_grid.yaml")
    node = yaml.safe_load(path.read_text())
    node["miniature"]["spread"] = 0.5
    path.write_text(yaml.safe_dump(node))
    assert changed() == runs(METABIN, METABIN.replace("s0", "s1")) | {"synthesize/mini_grid"}


@pytest.mark.parametrize(
    "name", ["method/erm", "method/metabin", "recipe/miniature", "image/64x32", "dataset/mini_grid"]
)
def test_a_setting_that_decides_no_result_changes_no_item(copied, changed, name):
    path = Path(f"params/{name}.yaml")
    node = yaml.safe_load(path.read_text())
    new = {
        "title": "Another",
        "provenance": "as written",
        "checkpoint_every": 7,
        "home": "https://else.where",
    }
    kept = {key: value for key, value in new.items() if key in node or key in params.read(*name.split("/"))}
    path.write_text("# reformatted\n" + yaml.safe_dump(node | kept))
    assert changed() == set()


def test_the_title_of_a_protocol_counts_as_it_stands_in_its_file(copied, changed):
    path = Path("params/protocol/miniature.yaml")
    path.write_text(path.read_text().replace("title: ", "title: Another "))
    assert changed() == {"protocol/miniature"}


def test_a_value_moved_out_of_a_base_changes_no_item(copied, changed):
    base, child = Path("params/method/_erm.yaml"), Path("params/method/erm.yaml")
    (line,) = (line for line in base.read_text().splitlines(True) if line.startswith("margin:"))
    base.write_text(base.read_text().replace(line, ""))
    child.write_text(child.read_text() + line)
    assert changed() == set()


def test_dvc_compares_no_file_of_settings_beside_the_resolved_ones(root):
    """Else a title or a value moved to a base would train runs again; the report alone reads params/."""
    spec = yaml.safe_load((root / "dvc.yaml").read_text())
    assert [name for name, stage in spec["stages"].items() if "params" in stage.get("do", stage)] == [
        "report"
    ]
    shown = {Path(folder).name for folder in spec["params"]}  # by `dvc params diff`
    assert shown >= set(GROUPS) and all((root / folder).is_dir() for folder in spec["params"])


def test_an_imported_split_list_reaches_its_data_set_alone(copied, changed):
    Path("data/splits").mkdir(parents=True)
    Path("data/splits/mini_grid-theirs.json").write_text("{}")
    assert changed() == {"manifest/mini_grid"}


def test_a_protocol_has_its_own_data_sets_as_members(copied):
    sources = {part.dataset for part in load_protocol("miniature_single").sources}
    members = {name for name in copied.matrix["members"] if name.startswith("miniature_single/")}
    assert {f"miniature_single/{name}" for name in sources} <= members
    assert {f"member/{name}" for name in copied.matrix["members"]} <= copied.items().keys()
    assert len(members) < len(copied.matrix["datasets"])


def test_the_checkpoint_sees_the_code_that_the_train_item_lists(root, selected):
    run = load_run(["method=metabin", "backbone=resnet_tiny", "protocol=miniature"])
    assert code.executed("train", run) == selected[1][f"train/{METABIN}"]["code"]
