"""Write docs/results/benchmarks.md from benchmarks/results/*.json, so that no number is copied by hand.

python -m benchmarks.summary
"""

import argparse
from functools import partial

from benchmarks import page
from benchmarks.common import RESULTS, ROOT
from benchmarks.page import table

PAGE = ROOT / "docs" / "results" / "benchmarks.md"
read = partial(page.read, RESULTS)


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


def checking() -> list[str]:
    node = read("checking")
    rows = [
        [name, *each["seconds"].values(), f"{each['ratio']:.1f}x", "{} to {}".format(*each["ratio_range"])]
        for name, each in node.items()
        if isinstance(each, dict)
    ]
    return [
        "## Checked files",
        "",
        f"A pack of {node['pack_MB']} MB: read once the plain way, and checked. A checkpoint of "
        f"{node['checkpoint_MB']} MB: saved plainly, and sealed and brought to the disk. Seconds.",
        "",
        *table(["file", "plain", "checked", "ratio", "range"], rows),
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


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    introduction = (
        "Written by `make benchmark` from `benchmarks/results/`. Ratios were measured in one process, "
        "interleaved; times depend on the machine."
    )
    page.write(PAGE, "Speed", introduction, (ranking, bin_layer, cost, packing, checking, scale, pipeline))


if __name__ == "__main__":
    main()
