"""Inspecting a data set: a summary of its manifest, a contact sheet, and histograms.

The pictures show the images themselves, so they stay in reports/inspect/, which git ignores.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from dgreid.datasets import tally
from dgreid.datasets.adopt.archive import images_root
from dgreid.datasets.adopt.record import check_unchanged, read_record
from dgreid.datasets.config import DatasetConfig, load_dataset
from dgreid.datasets.images import open_image
from dgreid.datasets.imported import add_imported
from dgreid.datasets.manifest import read_manifest, read_splits
from dgreid.datasets.parsers import parse
from dgreid.errors import UserError
from dgreid.files import whole
from dgreid.paths import INSPECT, MANIFESTS, RAW

ROWS, COLUMNS, PER_IDENTITY = 8, 12, 4  # of the contact sheet; up to four images in a row are of one identity
CELL, LABEL = (64, 128), 13  # width and height of an image, height of the line below it; pixels
COLOURS = {"person": "#4477aa", "distractor": "#ccbb44", "junk": "#bbbbbb"}


def inspect(dataset: str, manifests: Path = MANIFESTS, folder: Path = INSPECT) -> str:
    """Summarise a data set, and draw `contact_sheet.png` and `histograms.png` into folder/DATASET.

    Returns:
        the summary as lines; it is also written to `summary.txt`.

    Raises:
        UserError: unknown data set, not adopted, or no manifest of it.
    """
    config = load_dataset(dataset)
    root = images_root(dataset)
    frame, splits = read_manifest(manifests / dataset), read_splits(manifests / dataset)
    text = summary(config, root, frame, splits)
    with whole(folder / dataset) as part:
        part.mkdir()
        contact_sheet(frame, root).save(part / "contact_sheet.png")
        histograms(frame, config.title).savefig(part / "histograms.png", dpi=110)
        (part / "summary.txt").write_text(text + "\n", encoding="utf-8")
    return f"{text}\npictures: {folder / dataset}"


def summary(config: DatasetConfig, root: Path, frame: pd.DataFrame, splits: pd.DataFrame) -> str:
    """Say what is in a manifest, its warnings, and whether the files still are those it was made from."""
    notes = frame.attrs
    generators = json.loads(notes.get("generators", "{}"))
    missing, warnings = (json.loads(notes.get(key, "[]")) for key in ("missing", "warnings"))
    lines = [
        f"{config.title} ({notes['dataset']}): {notes['kind']} data, content {notes['content'][:12]}",
        f"from {notes.get('source') or 'a folder'}, licence {notes.get('licence') or 'unknown'}",
        f"images {len(frame)}, identities {frame.person_key.nunique()}, cameras {_cameras(frame)}, sizes "
        f"{_span(frame.width)} x {_span(frame.height)}, {frame.bytes.sum() / 1e6:.1f} MB",
        *(f"lacks {name}" for name in missing),
        "",
        *_table(frame.groupby("kind"), "kind"),
    ]
    if (frame.official_role != "none").any():
        lines += ["", *_table(frame.groupby("official_role"), "role as published")]
    for split_set, part in splits.groupby("split_set"):
        rows = part.merge(frame[["image_id", "person_key", "camera"]], on="image_id")
        made = f", {generators[split_set]}" if split_set in generators else ""
        lines += ["", f"split set {split_set}: {rows.split.nunique()} splits{made}"]
        lines += _table(
            rows[rows.split == rows.split.min()].groupby("role"), f"role in split {rows.split.min()}"
        )
    lines += ["", *([f"warning: {warning}" for warning in warnings] or ["no warnings"])]
    return "\n".join([*lines, *_failures(config, root, frame)])


def contact_sheet(frame: pd.DataFrame, root: Path) -> Image.Image:
    """Draw identities spread evenly over the data set, up to four images each, from different cameras.

    Distractors and junk, if there are any, come last. Below each image is its camera, below the first one of
    an identity also its number.

    Returns:
        RGB; each image keeps its proportions, on white.
    """
    groups = {key: _varied(part) for key, part in frame.groupby("person_key")}
    most = max(map(len, groups.values()), default=PER_IDENTITY)
    others = frame[frame.kind != "person"].groupby("kind")
    unknown = {kind: _varied(part).head(most) for kind, part in others}
    blocks, keys = COLUMNS // most, sorted(groups)
    count = min(ROWS * blocks - len(unknown), len(keys))
    chosen = [groups[keys[i]] for i in np.linspace(0, len(keys) - 1, count).round().astype(int)]
    chosen += [unknown[kind] for kind in sorted(unknown)]
    step = most * (CELL[0] + 2) + 12, CELL[1] + LABEL + 4
    sheet = Image.new("RGB", (blocks * step[0] - 6, -(-len(chosen) // blocks) * step[1] + 4), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for number, images in enumerate(chosen):
        top, block = 4 + number // blocks * step[1], number % blocks
        for column, image in enumerate(images.itertuples()):
            left = 4 + block * step[0] + column * (CELL[0] + 2)
            picture = _fit(open_image(root, image.path))
            room = CELL[0] - picture.width, CELL[1] - picture.height
            sheet.paste(picture, (left + room[0] // 2, top + room[1]))
            who = [] if column else [image.person_raw if image.kind == "person" else image.kind]
            label = "  ".join([*who, "" if pd.isna(image.camera) else f"c{image.camera + 1}"])
            pen.text((left + CELL[0] // 2, top + CELL[1] + 1), label, "#555555", font, anchor="mt")
    return sheet


def histograms(frame: pd.DataFrame, title: str):
    """Plot images per identity, images per camera, and sizes, as a matplotlib figure."""
    from matplotlib.figure import Figure  # late: needs a second to import; Figure alone opens no window

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    identities, cameras, sizes = figure.subplots(1, 3)
    figure.suptitle(f"{title}, {frame.attrs['kind']} data: {len(frame)} images", fontsize=11)

    per_identity = frame.person_key.value_counts()
    most = int(per_identity.max()) if len(per_identity) else 1
    bins = np.arange(0.5, most + 1.5, max(1, most // 40))
    identities.hist(per_identity, bins=bins, color="#4477aa", rwidth=0.9)
    identities.set(xlabel="images per identity", ylabel="identities", xlim=(0, max(most, 4) + 1))
    identities.xaxis.get_major_locator().set_params(integer=True)

    numbers = pd.Series(["unknown" if pd.isna(c) else f"c{c + 1}" for c in frame.camera], frame.index)
    order = [f"c{camera + 1}" for camera in sorted(frame.camera.dropna().unique())]
    order += ["unknown"] if (numbers == "unknown").any() else []
    below = np.zeros(len(order))
    for kind, colour in COLOURS.items():
        heights = numbers[frame.kind == kind].value_counts().reindex(order, fill_value=0).to_numpy()
        if heights.any():
            cameras.bar(order, heights, bottom=below, color=colour, label=kind)
            below += heights
    if (frame.kind != "person").any():
        cameras.legend(frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 0.98))
    cameras.tick_params(axis="x", labelsize=8 if len(order) < 9 else 6)
    cameras.set(xlabel="camera", ylabel="images")

    pairs = frame.groupby(["width", "height"]).size()
    width, height = (pairs.index.get_level_values(axis).to_numpy() for axis in (0, 1))
    area = 6 + 60 * pairs.to_numpy() / pairs.max() if len(pairs) < 100 else 6
    sizes.scatter(width, height, s=area, color="#4477aa", alpha=0.4 if len(pairs) > 1 else 1, linewidths=0)
    sizes.set(xlabel="width, pixels", ylabel="height, pixels")
    sizes.set(xlim=(0, 1.15 * width.max()), ylim=(0, 1.15 * height.max()))
    if len(pairs) == 1:
        sizes.annotate(f"all {width[0]} x {height[0]}", (width[0], height[0]), ha="right", va="top",
                       xytext=(-12, -12), textcoords="offset points")  # fmt: skip
    for axes in (identities, cameras, sizes):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _failures(config: DatasetConfig, root: Path, frame: pd.DataFrame) -> list[str]:
    """Say which rules fail on the files as they are now; the manifest may be older."""
    try:
        check_unchanged(config, root, read_record(RAW / config.name))
        parsed = parse(config, root)
        tally.data_kind(config, parsed, root)
        add_imported(config.name, parsed)
    except UserError as error:
        return [f"fails: {error}"]
    now, then = {image.path for image in parsed.images}, set(frame.path)
    if now == then:
        return ["nothing fails"]
    return [
        f"fails: {len(then - now)} files of the manifest are gone, {len(now - then)} are new; make it again "
        f"with `dgreid manifest dataset={config.name}`"
    ]


def _varied(images: pd.DataFrame) -> pd.DataFrame:
    """Choose up to four images, taking the cameras in turn; in the order of the cameras."""
    turn = images.groupby("camera", dropna=False).cumcount()
    chosen = images.assign(turn=turn).sort_values(["turn", "camera", "path"]).head(PER_IDENTITY)
    return chosen.sort_values(["camera", "path"])


def _fit(picture: Image.Image) -> Image.Image:
    scale = min(CELL[0] / picture.width, CELL[1] / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _table(groups, head: str) -> list[str]:
    lines = [f"{head:20} {'images':>8} {'identities':>11} {'cameras':>8}"]
    for name, part in groups:
        lines.append(f"{name:20} {len(part):8} {part.person_key.nunique():11} {_cameras(part):>8}")
    return lines


def _cameras(frame: pd.DataFrame) -> str:
    known = frame.camera.nunique()
    return (f"{known}+?" if known else "unknown") if frame.camera.isna().any() else str(known)


def _span(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return str(low) if low == high else f"{low}-{high}"
