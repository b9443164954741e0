"""The columns of MetaBIN's tables 6 and S1 that are counted from the code."""

import itertools
import re

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from dgreid.networks.backbones import load_backbone
from dgreid.papers import comparison, counted
from dgreid.papers import tables as papers
from dgreid.papers.measured import Selector
from dgreid.reporting.site.material import Paper
from dgreid.sheets import html, latex, markdown
from helpers import tiny
from helpers.formats import check_latex

SPECIFIED = ("dim", "norm_layers", "balancing_params", "all_params_m")


@pytest.mark.parametrize("name", ["metabin_s1", "metabin_t6"])
def test_networks_are_counted_from_the_code_and_agree_with_the_paper(known, name):
    table = papers.describe(name)
    frame = papers.cells(table, known, [])
    mine = frame[frame["comparable"]]
    rows = [row.row for row in table.parts[0].rows]
    assert len(rows) == 7
    assert sorted(zip(mine["row"], mine["measure"], strict=True)) == sorted(
        itertools.product(rows, SPECIFIED)
    )
    assert (mine["method"] == "").all() and (mine["data"] == "").all() and (mine["seeds"] == 0).all()
    assert set(mine["provenance"]) == {"from the code"}
    whole = mine[mine["measure"] != "all_params_m"]
    assert (whole["difference"] == 0).all()
    millions = mine[mine["measure"] == "all_params_m"]
    assert (millions["difference"].abs() < 0.005).all()  # published to two places
    assert (millions["difference"] != 0).all()  # and not what is shown


def test_other_columns_and_unknown_networks_are_not_counted(known):
    assert counted.count("resnet50", "dim") == 2048
    assert counted.count("resnet50", "memory_mib") is None and counted.count("resnet50", "rank1") is None
    assert counted.count("resnet19", "dim") is None  # not in params/backbone
    for name in set(papers.names()) - {"metabin_s1", "metabin_t6"}:
        assert not papers.cells(papers.describe(name), known, [])["comparable"].any()


class Calls(TorchDispatchMode):
    """The names of the operations that reach a device."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **kwargs or {})


def test_counting_follows_the_file_and_draws_no_normal_weights(root, monkeypatch):
    wider = load_backbone("mobilenet_v2_x1_4").model_copy(update={"width": 1.2})
    with monkeypatch.context() as patch, Calls() as calls:
        patch.setattr(counted, "load_backbone", lambda _name: wider)
        assert counted.count("mobilenet_v2_x1_4", "dim") == 1536
    assert "empty" in calls.names and "normal_" not in calls.names
    assert counted.count("mobilenet_v2_x1_4", "dim") == 1792


def test_what_is_counted_is_what_the_method_trains(root):
    """Table S1 is of MetaBIN: its own network has the gates that are counted, and no other parameters."""
    counts = dict.fromkeys((True, False), 0)
    for name, parameter in tiny.set_up(tiny.config("metabin"))[0].named_parameters():
        if "backbone." in name:
            counts[name.endswith(".balance")] += parameter.numel()
    assert counts[True] == counted.count("resnet_tiny", "balancing_params") > 0
    assert counts[False] / 1e6 == counted.count("resnet_tiny", "all_params_m") > 0


def on_a_gpu(make):
    """A full-data run of the row ResNet50 that used 7000 MiB."""
    node = make("metabin", 0, 50.0, data="full", protocol="metabin_dg") | {"backbone": "resnet50"}
    node["targets"] = {name: node["targets"]["VIPeR"] for name in ("VIPeR", "PRID", "GRID", "iLIDS")}
    node["cost"] |= {"peak_memory_bytes": 7000 * 2**20, "device": "cuda"}
    return node | {"run": "metabin-resnet50-metabin_dg-s0"}


def test_counted_networks_stand_below_their_row_beside_what_runs_measure(known, make):
    table = papers.describe("metabin_s1")
    for metrics in ([], [on_a_gpu(make)]):
        (sheet,) = comparison.sheets(table, papers.cells(table, known, metrics), comparison.methods())
        number = next(n for n, line in enumerate(sheet.lines) if line.cells[0].text == "ResNet50")
        below = []
        for line in sheet.lines[number + 1 :]:
            if line.kind == "published":
                break
            below.append([cell.text for cell in line.cells])
        how = "from the code: resnet50, every norm a batch-instance norm"
        assert ["", "counted", how, *[""] * 10, "2,048", "53", "26,560", "23.56M", "", ""] in below
        assert ["", "difference", "counted - published", *[""] * 10, "0", "0", "0", "0.00", "", ""] in below
        assert sum(line.kind == "counted" for line in sheet.lines) == 7
        measured = [line for line in below if line[1] == "measured"]
        assert ("No run of this project measures" in sheet.introduction) == (not metrics)
        assert [line[-6:] for line in measured] == [["", "", "", "", "7,000", ""]] * len(metrics)
        assert any(line[-2] == "+115" for line in below) == bool(metrics)
        assert "Counted lines come from the code alone" in sheet.introduction
        assert not any("`" in form([sheet]) for form in (html, latex, markdown))  # the page shows it as it is
        check_latex(latex([sheet]))
        state = Paper("metabin_s1", table.title, html([sheet])).state
        first = "1 line measured on full data" if metrics else "nothing measured on full data yet"
        assert state == f"{first}, 7 networks counted from the code"


def test_the_mark_on_all_parameters_tells_what_the_gates_would_add(known):
    frame = papers.cells(papers.describe("metabin_s1"), known, [])
    (mark,) = set(frame[frame["measure"] == "all_params_m"]["mark"])
    selectors = [Selector.parse(row.runs[0]) for row in papers.describe("metabin_s1").parts[0].rows]
    sums = [
        counted.count(selector.backbone, "all_params_m")
        + counted.count(selector.backbone, "balancing_params") / 1e6
        for selector in selectors
    ]
    assert re.findall(r"\d+\.\d\d", mark) == [f"{value:.2f}" for value in sums]
