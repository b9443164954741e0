from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import tiny
import tiny_run
from dgreid import protocols
from dgreid.errors import UserError
from dgreid.reporting.figures import tsne
from dgreid.stages import train

PEOPLE = 12


def frame(dataset, camera):
    """One image of each person, and a stranger in the gallery."""
    people = [*range(PEOPLE), *([-1] if camera else [])]
    rows = [2 * number + camera for number in range(len(people))]
    columns = {"dataset": dataset, "image_id": [str(row) for row in rows], "path": "", "row": rows}
    return pd.DataFrame(
        {**columns, "identity": people, "camera": camera, "pixel_sha256": [bytes(32)] * len(rows)}
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A run and its protocol of two targets, whose images of one person look alike."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    colour = rng.uniform(0, 255, (PEOPLE + 1, 1, 1, 3)).repeat(2, axis=0)  # rows 2n and 2n + 1: one person
    pixels = colour + rng.normal(0, 4, (len(colour), tiny.HEIGHT, tiny.WIDTH, 3))
    pixels = pixels.clip(0, 255).astype(np.uint8)
    monkeypatch.setattr(tsne, "Pack", SimpleNamespace(open=lambda dataset, image: pixels))
    targets = {name: [(frame(name.lower(), 0), frame(name.lower(), 1))] for name in ("Day", "Night")}
    rows = frame("toy", 0).assign(domain=0)
    metadata = {"name": "tiny", "kind": "miniature", "domains": ["toy"], "targets": {"Day": {}, "Night": {}}}
    metadata |= {"kinds": {"toy": "miniature"}, "content": {"toy": "0"}, "counts": {}, "choices": {}}
    protocol = protocols.Protocol("tiny", "miniature", rows, targets, ["toy"], metadata)
    protocols.write(train.PROTOCOLS / "tiny", protocol)
    for name in ("erm", "qaconv"):
        tiny_run.make(name, tiny.config(name))
    return tmp_path


def test_a_map_per_target_the_same_every_time(project):
    stem = tsne.tsne("erm")
    assert stem.name == "erm" and Image.open(f"{stem}.png").size[0] > 500
    first = {suffix: stem.with_name(f"erm.{suffix}").read_bytes() for suffix in ("csv", "pdf", "png")}
    tsne.tsne("erm")
    assert first == {suffix: stem.with_name(f"erm.{suffix}").read_bytes() for suffix in first}
    table = pd.read_csv(f"{stem}.csv")
    counts = table.groupby(["target", "part"]).size().to_dict()
    each = {"query": PEOPLE, "gallery": PEOPLE + 1}
    assert counts == {(name, part): n for name in ("Day", "Night") for part, n in each.items()}
    shown = table[table["shown"] >= 0]
    assert (shown.groupby(["target", "shown"])["part"].nunique() == 2).all()  # a query and its match
    assert shown.groupby("target")["identity"].nunique().to_dict() == {"Day": 7, "Night": 7}
    assert not (shown["identity"] < 0).any()


def test_images_of_one_person_lie_close(project):
    table = pd.read_csv(f"{tsne.tsne('erm', ['Day'], perplexity=4)}.csv")
    query, gallery = (
        table[(table["part"] == part) & (table["identity"] >= 0)]
        .sort_values("identity")[["x", "y"]]
        .to_numpy()
        for part in ("query", "gallery")
    )
    distances = np.linalg.norm(query[:, None] - gallery[None], axis=-1)  # (people, people)
    assert np.median(np.diag(distances)) < 0.5 * np.median(distances)


def test_together_the_targets_share_one_map(project):
    stem = tsne.tsne("erm", together=True)
    assert stem.name == "erm-together"
    table = pd.read_csv(f"{stem}.csv").set_index("target")
    # both targets show the same pictures here, so their points fall on each other, which two maps' would not
    apart = table.loc["Day", ["x", "y"]].to_numpy() - table.loc["Night", ["x", "y"]].to_numpy()
    spread = table[["x", "y"]].to_numpy().std()
    assert np.median(np.linalg.norm(apart, axis=1)) < 0.2 * spread


def test_another_seed_gives_another_map(project):
    one, two = (pd.read_csv(f"{tsne.tsne('erm', ['Day'], seed=seed)}.csv") for seed in (0, 1))
    assert list(one["shown"]) != list(two["shown"])


def test_of_many_images_some_are_drawn_and_the_coloured_stay(project, monkeypatch):
    monkeypatch.setattr(tsne, "MOST", 18)
    table = pd.read_csv(f"{tsne.tsne('erm', ['Day'])}.csv")
    assert len(table) == 18 and (table["shown"] >= 0).sum() == 14


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("er",), "erm"),
        (("erm", ["Dya"]), "Day"),
        (("qaconv",), "learned score"),
        (("erm", [], False, 0, 0.0), "positive"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(project, arguments, message):
    with pytest.raises(UserError, match=message):
        tsne.tsne(*arguments)
