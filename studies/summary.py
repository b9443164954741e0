"""Write docs/results/studies.md from studies/results/*.json, so that no number is copied by hand.

python -m studies.summary
"""

import argparse
from functools import partial
from pathlib import Path
from statistics import mean

from benchmarks import page
from benchmarks.page import table
from studies.common import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "results" / "studies.md"
read = partial(page.read, RESULTS)


def plain_baseline() -> list[str]:
    """The baseline of open_small beside a plain script on the same identities and splits."""
    if not (RESULTS / "plain_baseline.json").exists():
        return []
    node = read("plain_baseline")
    rows = [
        [
            name,
            "mean" if number is None else number,
            *(f"{value:.1f}" for pair in each.values() for value in pair),
        ]
        for name in ("plain", "erm")
        for number, each in [*enumerate(node[name]), (None, node[f"{name} mean"])]
    ]
    targets = list(node["plain mean"])
    head = ["network", "seed", *(f"{target} {what}" for target in targets for what in ("R-1", "mAP"))]
    return [
        "## The baseline beside a plain script",
        "",
        "Real photographs, partial data: selection open_small, the same training identities, budget and "
        "splits. The plain script is `studies/plain_baseline.py`.",
        "",
        *table(head, rows),
    ]


def miniature() -> list[str]:
    node = read("miniature")
    names = {"bn": "BN", "in": "IN"} | {
        f"{n}_without_style_spread": f"{n.upper()}, no style spread" for n in ("bn", "in")
    }
    rows = [[title, node[key]["held"], node[key]["unseen"]] for key, title in names.items()]
    one, raw = node["bn"]["trained_on_one_domain"], node["bn"]["raw_pixels"]
    rows.append([f"BN trained on {one['domain']} alone", one["own_held"], one["other_domains"]])
    rows.append(["raw pixels, nearest neighbour", raw["held"], raw["unseen"]])
    changes = node["bn"]["change_when_one_factor_is_a_target's"].items()
    probes = [
        ["fed the background only (trained on whole images)", node["bn"]["fed_background_only"]],
        ["trained on the background only", node["trained_on_background"]["other_shots"]],
        ["trained on silhouettes only", node["trained_on_silhouette"]["other_shots"]],
    ]
    return [
        "## The miniature benchmark as an instrument",
        "",
        f"Miniature data. {node['unit']}, chance {node['chance']}; one generated benchmark, one training "
        f"seed, {node['settings']['iterations']} iterations: differences below about five points are noise.",
        "",
        *table(["trained network", "held-out identities of its domains", "unseen domains"], rows),
        *table(["what else could identify a person", "Rank-1"], probes),
        *table(
            ["one factor of held-out identities replaced by a target's", "BN, Rank-1"],
            [list(c) for c in changes],
        ),
    ]


def shift() -> list[str]:
    """Which factor of a target's style hurts which method."""
    if not (RESULTS / "shift.json").exists():
        return []
    node = read("shift")

    def interval(change: dict) -> str:
        return f"{change['mean']:+.1f} [{change['low']:+.1f}, {change['high']:+.1f}]"

    rows = [
        [name, f"{mean(each['none'] for each in node['scores'][name].values()):.1f}"]
        + [interval(change) for change in changes.values()]
        for name, changes in node["changes"].items()
    ]
    factors = list(next(iter(node["changes"].values())))
    return [
        "## Which shift hurts which method",
        "",
        "Miniature data, resnet_tiny, runs of selection `story`. Rank-1 among 60 new identities of each "
        "source, and its change in points if one factor of their style is that of an unseen domain; mean "
        "over 4 sources and 4 targets, 95 % intervals over paired seeds (Student's t).",
        "",
        "![Change of Rank-1 by method and factor](../figures/shift.png)",
        "",
        *table(["method", "unchanged", *factors], rows),
    ]


def start() -> list[str]:
    """What the drawn start gives, and what was tried from it on the sources alone."""
    if not (RESULTS / "start.json").exists():
        return []
    node = read("start")
    begun = [
        [title, node["untrained"][key]["probe"], node["untrained"][key]["average"]]
        for key, title in (("none", "random weights"), ("drawn", "the drawn start"))
        if key in node["untrained"]
    ]

    def rows(runs: dict) -> list[list]:
        return [
            [
                name,
                len(each),
                *(f"{mean(run[measure] for run in each):.1f}" for measure in ("unseen", "held")),
                "" if each[0]["gate"] is None else f"{mean(run['gate'] for run in each):.2f}",
            ]
            for name, each in runs.items()
        ]

    head = ["run", "trainings", "unseen", "held", "mean gate"]
    return [
        "## The drawn start",
        "",
        "Miniature data, resnet_tiny; no target was evaluated (`studies/start.py`). Share of pictures of 100 "
        "new classes of things that a linear probe names right, and Rank-1 among 60 new identities of each "
        "source, before any training on people; per cent, average over the sources.",
        "",
        *table(["weights", "things named right", "Rank-1"], begun),
        "Trained on three of the four sources: Rank-1 among 60 new identities of the fourth (unseen) and of "
        "the three (held), average over the sources left out, as far as trained (4 trainings: all). The "
        "search; its start is an earlier training of the same kind, and its precision float32:",
        "",
        *table(head, rows(node["search"])),
        *(["The chosen recipes, from the start that is shipped:", ""] if node["trained"] else []),
        *(table(head, rows(node["trained"])) if node["trained"] else []),
    ]


def lda_start() -> list[str]:
    """Why LDA collapsed on trained weights."""
    if not (RESULTS / "lda_start.json").exists():
        return []
    node = read("lda_start")
    measures = list(next(iter(node["systems"].values())))
    rows = [[name, *(f"{row[measure]:.1f}" for measure in measures)] for name, row in node["systems"].items()]
    return [
        "## LDA's Anti-Normalisation in a trained network",
        "",
        f"ImageNet's MobileNetV2 x1.0 and photographs ({node['data']} data); {node['setting']}. Per cent; "
        "a channel is dead if it is 0 at 99.9 % of all places after an activation.",
        "",
        *table(["AN", "Rank-1", *measures[1:]], rows),
    ]


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    introduction = (
        "Written by `python -m studies.summary` from `studies/results/`. Each section answers a question "
        "that one script in `studies/` asks."
    )
    page.write(PAGE, "Studies", introduction, (plain_baseline, miniature, start, shift, lda_start))


if __name__ == "__main__":
    main()
