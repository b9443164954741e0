from dgreid.reporting.site import overview


def test_the_overview_says_how_many_runs_record_nothing(make):
    def trained(*costs):
        made = [make("erm", seed, 40.0) for seed in range(len(costs))]
        for run, (commit, date) in zip(made, costs, strict=True):
            run["cost"] |= {"commit": commit, "date": date}
        return [(value, more) for name, value, more in overview.tiles(made) if name == "Trained"]

    early, late = "2026-03-04T05:06:07Z", "2026-03-06T05:06:07Z"
    assert trained((None, None), (None, None)) == []
    assert trained(("b", early), ("a+", late)) == [("2026-03-04 to 2026-03-06", "commits a+, b")]
    assert trained(("b", early), (None, late), (None, None)) == [
        ("2026-03-04 to 2026-03-06", "commit b; not recorded of 2 of 3 runs")
    ]
    assert trained((None, early), (None, early)) == [("2026-03-04", "commit unknown")]


def test_of_many_comparisons_the_settled_ones_are_said_first(root, make, gather):
    made = [make("erm", seed, 40.0) for seed in (0, 1)] + [make("metabin", seed, 41.0) for seed in (0, 1)]
    gap = next(gap for gap in gather(made).gaps if gap.target == "Average" and gap.measure == "rank1")
    several = [
        gap._replace(backbone=f"net{n}", seeds_low=-1.0 if n < 8 else 1.0, seeds_high=2.0) for n in range(9)
    ]
    found = overview.findings([*several, gap._replace(target="A", seeds_low=1.0)])
    assert [gap.backbone for gap, _ in found] == ["net8", "net0", "net1", "net2", "net3", "net4"]
    assert found[0][0].way == "up" and found[0][1] == "net8, protocol toy"


def test_of_many_methods_the_drawing_has_the_highest(root, make, gather):
    content = overview.content(gather([make(f"m{n:02}", 0, float(n)) for n in range(20)]))
    (block,) = content["blocks"]
    assert (
        block["dots"].count('class="mean"') == 16
        and ">m19<" in block["dots"]
        and ">m03<" not in block["dots"]
    )
    assert len(block["rows"]) == 20 and block["drawn"] == "the 16 highest of 20 methods"
