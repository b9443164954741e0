"""Write docs/results/benchmarks.md from benchmarks/results/*.json, so that no number is copied by hand."""

import json
from pathlib import Path
from statistics import mean

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "results" / "benchmarks.md"


def read(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text())


def table(head: list[str], rows: list[list]) -> list[str]:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines] + [""]


def ranking() -> list[str]:
    node = read("ranking")
    size, memory = (
        next(key for key in node if key.startswith(name)) for name in ("Market-1501 size, 3", "MSMT17")
    )
    rows = [
        [name, f"{row['seconds'] * 1000:.0f}", f"{row['ratio to sort']:.1f}x"]
        for name, row in node[size].items()
    ]
    extra, seconds = node[memory].values()
    warm = node["Market-1501 size, rows just made by a product"]["ratio to sort"]
    return [
        "## Ranking",
        "",
        f"Distances given, {size}, random scores with ties; all ways give the same average precision.",
        "",
        *table(["way", "ms", "against NumPy sort + searchsorted"], rows),
        f"On rows that a matrix product has just left in the cache, one thread: {warm:.1f}x.",
        "",
        f"{memory}: {extra:.0f} MiB beyond the features, {seconds:.1f} s with the product at 128 dimensions.",
        "",
    ]


def pipeline() -> list[str]:
    if not (RESULTS / "pipeline.json").exists():
        return []
    node = read("pipeline")
    steps = [
        [name, f"`{step['command']}`", f"{step['seconds']:.1f}", step["stage items"]]
        for name, step in node["steps"].items()
    ]
    stages = [[name, row["items"], f"{row['seconds']:.1f}"] for name, row in node["stages"].items()]
    return [
        "## The default pipeline",
        "",
        f"Selection {node['selection']}, {node['runs']} runs, {node['machine']['cores']} cores; wall time in "
        f"a clone of commit {node['commit']} without data, results or cache.",
        "",
        *table(["step", "command", "seconds", "stage items that ran"], steps),
        *table(["stage", "items", "seconds of all its items"], stages),
    ]


def bin_layer() -> list[str]:
    node = read("bin_layer")
    rows = [
        [
            "x".join(map(str, row["shape"])),
            f"{row['plain_ms']:.0f}",
            f"{row['fused_ms']:.0f}",
            f"{row['ratio']:.1f}x",
            f"{row['ratio_range'][0]:.1f} to {row['ratio_range'][1]:.1f}",
            f"{row['saved_plain']:.2f} / {row['saved_fused']:.2f}",
        ]
        for row in node["rows"]
    ]
    head = ["shape", "plain ms", "fused ms", "ratio", "range", "saved / input: plain / fused"]
    return [
        "## Batch-instance normalisation",
        "",
        f"Forward and backward against BatchNorm2d + InstanceNorm2d + mix; {node['device']}, "
        f"{node['threads']} thread, {node['precision']}, {node['repeats']} interleaved repeats, medians.",
        "",
        *table(head, rows),
    ]


def cost() -> list[str]:
    """One training iteration of MetaBIN and of M3L against the way one first writes it."""
    rows, gpu = [], []
    for name, plain, ratio in (("cost", "plain", "ratio"), ("m3l", "released", "released_to_ours")):
        if not (RESULTS / f"{name}.json").exists():
            continue
        node = read(name)
        gpu.append(bool(node["gpu"]))
        rows += [
            [
                f"{row.get('method', name)}, {row['setting']}",
                f"{row[f'{plain}_ms']:.0f}",
                f"{row['ours_ms']:.0f}",
                f"{row[ratio]:.2f}x",
                f"{row[f'{ratio}_range'][0]:.2f} to {row[f'{ratio}_range'][1]:.2f}",
            ]
            for row in node["rows"]
        ]
    if not rows:
        return []
    return [
        "## Training iterations",
        "",
        "MetaBIN against two-layer norms and a full backward in the meta-test; M3L against a network built "
        "anew in every iteration, as released. CPU, one thread; both ways take the same steps.",
        "",
        *table(["method and setting", "plain ms", "ours ms", "ratio", "range"], rows),
        ""
        if any(gpu)
        else "No GPU was at hand: the paper's sizes, mixed precision and compiling are unmeasured.",
        "",
    ]


def plain_baseline() -> list[str]:
    """The baseline of open_small beside a plain script on the same people and splits."""
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
        "Real photographs, partial data: selection open_small, the same training people, budget and splits. "
        "The plain script is `benchmarks/plain_baseline.py`.",
        "",
        *table(head, rows),
    ]


def packing() -> list[str]:
    rows = [
        [
            row["size"],
            row["images_per_second_per_core"]["per_image"],
            row["images_per_second_per_core"]["packed"],
            f"{row['ratio']:.1f}x",
            f"{row['ratio_range'][0]} to {row['ratio_range'][1]}",
        ]
        for row in read("packing")["results"]
    ]
    return [
        "## Packed input",
        "",
        "Flip, padded crop and normalisation, float out, images per second and core; equal pixels.",
        "",
        *table(["size", "decoding each image", "from a pack", "ratio", "range"], rows),
    ]


def scale() -> list[str]:
    node = read("scale")
    rows = [
        [
            row["threads"],
            row["seconds"]["parse"],
            row["seconds"]["build"],
            row["seconds"]["write"],
            row["seconds"]["read"],
            row["peak_MiB"],
        ]
        for row in node["rows"]
    ]
    first = node["rows"][0]
    head = ["threads", "parse s", "decode, check, hash s", "write s", "read s", "peak memory MiB"]
    return [
        "## Scale",
        "",
        f"A manifest of {first['images']:,} drawn JPEGs of {node['size']} pixels in Market-1501's layout; "
        f"{node['cores']} cores, shared with other work. The bare imports take {first['imports_MiB']} MiB "
        f"of the memory; the manifest is a file of {first['manifest_MiB']} MiB.",
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
        f"Miniature data. {node['unit']}, chance {node['chance']}; one draw, one training seed, "
        f"{node['settings']['iterations']} iterations: differences below about five points are noise.",
        "",
        *table(["trained network", "held-out people of its domains", "unseen domains"], rows),
        *table(["what else could name a person", "Rank-1"], probes),
        *table(
            ["one factor of held-out people replaced by a target's", "BN, Rank-1"], [list(c) for c in changes]
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
        "Miniature data, resnet_tiny. What each control is to decide was written down before it was run: "
        "`benchmarks/story.py`. Rank-1, average over the four targets; `held` and `unseen`: 60 new people of "
        "every source and every target domain, average over domains, gap = held - unseen. Intervals: 95 %, "
        "Student's t over paired seeds.",
        "",
        *table(["system", "seeds", "Rank-1", "held", "unseen", "mean gate"], systems),
        *table(["difference", "seeds", "Rank-1", "held", "gap"], differences),
        "Trained networks searched with other gates, running statistics estimated anew each time; Rank-1 "
        "minus that with the learned gates.",
        "",
        *table(["network", "gates", "seeds", "Rank-1"], probes),
        "M3L's memory before the first iteration and after the last: mean cosine of two centroids of one "
        "domain, and the share of training images that it names rightly (training mode; chance is 1 %).",
        "",
        *table(
            ["network", "cosine, start", "cosine, end", "named right, start", "named right, end"], memories
        ),
        "A memory filled by two passes of a network that does not move, then asked: each batch holds so many "
        "people of one domain, four images each, normalised by its own statistics. Mean over three seeds.",
        "",
        *table(["network", "people in a batch", "cross-entropy", "chance", "named right"], still),
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
        "dead are channels that are 0 at 99.9 % of all places behind an activation.",
        "",
        *table(["AN", "Rank-1", *measures[1:]], rows),
    ]


def main() -> None:
    head = [
        "# Speed and instrument checks",
        "",
        "Written by `make benchmark` from `benchmarks/results/`. Ratios were measured in one process, "
        "interleaved; times depend on the machine.",
        "",
    ]
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    parts = (ranking, bin_layer, cost, packing, scale, pipeline, plain_baseline, miniature, story, lda_start)
    PAGE.write_text("\n".join([*head, *(line for part in parts for line in part())]).rstrip() + "\n")


if __name__ == "__main__":
    main()
