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


def story() -> list[str]:
    """What separates the methods of the story on the miniature benchmark."""
    if not (RESULTS / "story.json").exists():
        return []
    node = read("story")

    def average(seeds: dict, measure: str) -> str:
        scores = [
            each["rank1"]["average"] if measure == "rank1" else each[measure] for each in seeds.values()
        ]
        return f"{mean(scores):.1f}"

    def interval(difference: dict) -> str:
        return f"{difference['mean']:+.1f} [{difference['low']:+.1f}, {difference['high']:+.1f}]"

    systems = [
        [
            name,
            len(seeds),
            *(average(seeds, measure) for measure in ("rank1", "held", "unseen")),
            f"{mean(each['gates']['mean'] for each in seeds.values()):.2f}" if "gates" in seeds["0"] else "",
        ]
        for name, seeds in node["systems"].items()
        if seeds
    ]
    differences = [
        [
            f"{row['first']} - {row['second']}",
            len(row["seeds"]),
            *(interval(row[measure]) for measure in ("rank1", "held", "gap")),
        ]
        for row in node["differences"]
    ]
    probes = [
        [name, title, len(node["gates"][name]), interval(difference)]
        for name, titles in node["gates, minus learned"].items()
        for title, difference in titles.items()
    ]
    memories = [
        [
            name,
            *(
                f"{mean(each[when][what] for each in seeds.values()):{digits}}"
                for what, digits in (("cosine", ".2f"), ("named right", ".1f"))
                for when in ("start", "end")
            ),
        ]
        for name, seeds in node["memory"].items()
    ]
    still = [
        [
            name,
            people,
            *(
                f"{mean(each[people][what] for each in seeds.values()):{digits}}"
                for what, digits in (("cross-entropy", ".2f"), ("chance", ".2f"), ("named right", ".1f"))
            ),
        ]
        for name, seeds in node["memory of a network that stands still"].items()
        for people in seeds["0"]
    ]
    return [
        "## The story's order on the miniature benchmark: controls",
        "",
        "Miniature data, resnet_tiny. What each control decides was written down before it was run: "
        "`studies/story.py`. Rank-1, average over the four targets; `held` and `unseen`: 60 new identities "
        "of every source and every target domain, average over domains, gap = held - unseen. Intervals: "
        "95 %, Student's t over paired seeds.",
        "",
        *table(["run", "seeds", "Rank-1", "held", "unseen", "mean gate"], systems),
        *table(["difference", "seeds", "Rank-1", "held", "gap"], differences),
        "Trained networks evaluated with other gates, running statistics estimated anew each time; Rank-1 "
        "minus that with the learned gates.",
        "",
        *table(["network", "gates", "seeds", "Rank-1"], probes),
        "M3L's memory before the first iteration and after the last: mean cosine of two centroids of one "
        "domain, and the share of training images that it identifies correctly (training mode; chance is "
        "1 %).",
        "",
        *table(["network", "cosine, start", "cosine, end", "identified, start", "identified, end"], memories),
        "A memory filled by two passes of a network that does not change, then evaluated: each batch holds "
        "that many identities of one domain, four images each, normalised by its own statistics. Mean "
        "over three seeds.",
        "",
        *table(["network", "identities in a batch", "cross-entropy", "chance", "identified"], still),
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
    page.write(PAGE, "Studies", introduction, (plain_baseline, miniature, start, story, lda_start))


if __name__ == "__main__":
    main()
