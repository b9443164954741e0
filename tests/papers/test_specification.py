"""Table S1 of MetaBIN's supplement, counted and as printed in the reference file."""

import csv
from collections import defaultdict

import pytest

from dgreid.errors import UserError
from dgreid.networks.backbones import load_backbone
from dgreid.papers.specification import specify

# the file's name of a network, ours
NETWORKS = {
    "mobilenet_v2_1.0": "mobilenet_v2_x1_0",
    "mobilenet_v2_1.4": "mobilenet_v2_x1_4",
    **{f"resnet{depth}": f"resnet{depth}" for depth in (18, 34, 50, 101, 152)},
}
EXACT = {
    "mobilenet_v2_1.0": 2_259_136,
    "mobilenet_v2_1.4": 4_339_248,
    "resnet18": 11_186_112,
    "resnet34": 21_301_696,
    "resnet50": 23_561_152,
    "resnet101": 42_605_504,
    "resnet152": 58_295_232,
}


@pytest.fixture(scope="module")
def printed(request):
    """Network -> column -> the text as printed, of tables S1 and 6."""
    path = request.config.rootpath / "data" / "reference" / "paper_results.csv"
    columns = ("dim", "norm_layers", "balancing_params", "all_params_m")
    tables = {"S1": defaultdict(dict), "T6": defaultdict(dict)}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["document"] == "metabin" and row["table"] in tables and row["metric"] in columns:
                tables[row["table"]][row["backbone"]][row["metric"]] = row["value"]
    return tables


def test_both_tables_print_every_network(printed):
    assert printed["S1"].keys() == NETWORKS.keys() and printed["S1"] == printed["T6"]
    assert all(len(columns) == 4 for columns in printed["S1"].values())


@pytest.mark.parametrize("network", NETWORKS)
def test_counted_as_printed(root, printed, network):
    counted, row = specify(NETWORKS[network]), printed["S1"][network]
    assert counted.dimension == int(row["dim"])
    assert counted.norm_layers == int(row["norm_layers"])
    assert counted.balance_parameters == int(row["balancing_params"])
    assert counted.parameters == EXACT[network]
    assert f"{counted.parameters / 1e6:.2f}" == f"{float(row['all_params_m']):.2f}"


def test_the_printed_sizes_leave_the_gates_out(root, printed):
    """A known difference to equation 1: all parameters of the layers would not give what is printed."""
    agree = [
        network
        for network, ours in NETWORKS.items()
        if f"{(lambda s: s.parameters + s.balance_parameters)(specify(ours)) / 1e6:.2f}"
        == f"{float(printed['S1'][network]['all_params_m']):.2f}"
    ]
    assert agree == ["resnet18"]  # 11.186 and 11.191 round to the same


def test_a_configuration_or_its_name(root):
    assert specify(load_backbone("resnet18")) == specify("resnet18")
    tiny = specify("resnet_tiny")
    assert (tiny.dimension, tiny.norm_layers) == (128, 10)
    with pytest.raises(UserError, match="did you mean 'resnet18'"):
        specify("resnet19")
