from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dgreid import protocols
from dgreid.errors import UserError
from dgreid.methods.erm import ERM
from dgreid.paths import PROTOCOLS
from dgreid.reporting import tsne
from helpers import tiny, trained_run

IDENTITIES = 12


def frame(dataset, camera):
    """One image of each identity, and an unknown one in the gallery."""
    identities = [*range(IDENTITIES), *([-1] if camera else [])]
    rows = [2 * number + camera for number in range(len(identities))]
    columns = {"dataset": dataset, "image_id": [str(row) for row in rows], "path": "", "row": rows}
    return pd.DataFrame(
        {**columns, "identity": identities, "camera": camera, "pixel_sha256": [bytes(32)] * len(rows)}
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A run and its protocol of two targets, whose images of one identity look alike."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    colour = rng.uniform(0, 255, (IDENTITIES + 1, 1, 1, 3)).repeat(2, axis=0)  # rows 2n, 2n + 1: one identity
    pixels = colour + rng.normal(0, 4, (len(colour), tiny.HEIGHT, tiny.WIDTH, 3))
    pixels = pixels.clip(0, 255).astype(np.uint8)
    monkeypatch.setattr(tsne, "Pack", SimpleNamespace(open=lambda dataset, image: pixels))
    targets = {name: [(frame(name.lower(), 0), frame(name.lower(), 1))] for name in ("Day", "Night")}
    rows = frame("toy", 0).assign(domain=0)
    metadata = {"name": "tiny", "kind": "miniature", "domains": ["toy"], "targets": {"Day": {}, "Night": {}}}
    metadata |= {"kinds": {"toy": "miniature"}, "content": {"toy": "0"}, "counts": {}, "choices": {}}
    protocol = protocols.Protocol("tiny", "miniature", rows, targets, ["toy"], metadata)
    protocols.write(PROTOCOLS / "tiny", protocol)
    for name in ("erm", "qaconv"):
        trained_run.make(name, tiny.config(name))
    return tmp_path


def test_a_map_per_target_the_same_every_time(project):
    stem = tsne.tsne("erm")
    assert stem.name == "erm" and Image.open(f"{stem}.png").size[0] > 500
    first = {suffix: stem.with_name(f"erm.{suffix}").read_bytes() for suffix in ("csv", "pdf", "png")}
    tsne.tsne("erm")
    assert first == {suffix: stem.with_name(f"erm.{suffix}").read_bytes() for suffix in first}
    table = pd.read_csv(f"{stem}.csv")
    counts = table.groupby(["target", "part"]).size().to_dict()
    each = {"query": IDENTITIES, "gallery": IDENTITIES + 1}
    assert counts == {(name, part): n for name in ("Day", "Night") for part, n in each.items()}
    shown = table[table["shown"] >= 0]
    assert (shown.groupby(["target", "shown"])["part"].nunique() == 2).all()  # a query and its match
    assert shown.groupby("target")["identity"].nunique().to_dict() == {"Day": 7, "Night": 7}
    assert not (shown["identity"] < 0).any()


@pytest.fixture
def linear(monkeypatch):
    """Stands for t-SNE: a plane whose points are known; records how many images each map has."""
    sizes = []

    def plane(vectors, seed, perplexity):
        sizes.append(len(vectors))
        return vectors[:, :2] + len(sizes)  # each map lies elsewhere

    monkeypatch.setattr(tsne, "plane", plane)
    return sizes


def test_neighbours_stay_neighbours_on_the_map():
    """Two far clusters: every point's nearest neighbour on the map is of its own cluster."""
    rng = np.random.default_rng(0)
    cluster = np.repeat([0, 1], 12)
    vectors = (rng.normal(0, 0.1, (24, 8)) + 10 * cluster[:, None]).astype(np.float32)
    points = tsne.plane(vectors, seed=0, perplexity=4)
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert (cluster[distances.argmin(1)] == cluster).all()


def test_together_the_targets_share_one_map(project, linear):
    stem = tsne.tsne("erm", together=True)
    assert stem.name == "erm-together" and linear == [2 * (2 * IDENTITIES + 1)]
    table = pd.read_csv(f"{stem}.csv").set_index("target")
    # both targets show the same pictures here: on one map they have the same places
    np.testing.assert_allclose(table.loc["Day", ["x", "y"]], table.loc["Night", ["x", "y"]], rtol=1e-4)


def test_apart_each_target_has_a_map_of_its_own(project, linear):
    table = pd.read_csv(f"{tsne.tsne('erm')}.csv").set_index("target")
    assert linear == [2 * IDENTITIES + 1] * 2
    np.testing.assert_allclose(table.loc["Day", "x"] + 1, table.loc["Night", "x"], rtol=1e-4)


def test_a_method_that_adapts_does_so_as_in_evaluation_and_the_title_says_it(project, monkeypatch, linear):
    monkeypatch.setattr(tsne, "MOST_IMAGES", 18)  # the map shows some images, the method sees them all
    looks, titles = [], []
    monkeypatch.setattr(ERM, "adapt", lambda self, images: looks.append(sum(map(len, images))))
    monkeypatch.setattr(tsne.style, "title", lambda figure, text: titles.append(text))
    tsne.tsne("erm")
    assert looks == [IDENTITIES, IDENTITIES + 1] * 2 and linear == [9] * 2
    monkeypatch.setattr(ERM, "adapt", None)
    tsne.tsne("erm")
    assert titles == ["t-SNE of erm (miniature data, sees target)", "t-SNE of erm (miniature data)"]


def test_another_seed_gives_another_map(project):
    one, two = (pd.read_csv(f"{tsne.tsne('erm', ['Day'], seed=seed)}.csv") for seed in (0, 1))
    assert list(one["shown"]) != list(two["shown"])


def test_of_many_images_some_are_drawn_and_the_coloured_stay(project, monkeypatch):
    monkeypatch.setattr(tsne, "MOST_IMAGES", 18)
    table = pd.read_csv(f"{tsne.tsne('erm', ['Day'])}.csv")
    assert len(table) == 18 and (table["shown"] >= 0).sum() == 14


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("er",), "erm"),
        (("erm", ["Dya"]), "Day"),
        (("qaconv",), "learned score"),
        (("erm", [], False, 0, 0.0), "positive"),
        (("erm", [], False, 0, float("inf")), "positive"),
        (("erm", [], False, -1), "--seed -1 is not a seed"),
        (("erm", [], False, 99999999999999), "is not a seed"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(project, arguments, message):
    with pytest.raises(UserError, match=message):
        tsne.tsne(*arguments)
