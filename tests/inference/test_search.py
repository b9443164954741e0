import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from dgreid.cli import main as cli
from dgreid.errors import UserError
from dgreid.inference import search as module
from dgreid.inference.embed import embed, is_embedded
from dgreid.inference.search import nearest, search
from dgreid.methods.erm import ERM
from helpers import tiny, trained_run

ODD = "a <b> & 'c' \"d\" #1?50%.png"  # every character that HTML or a URL could trip over


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained_run.make("mine", tiny.config("erm"))
    trained_run.crops(tmp_path / "crops", [ODD, *(f"deep/{number}.png" for number in range(6))])
    trained_run.crops(tmp_path / "who", ["one.png", "two.png"], seed=1)
    return tmp_path


class Page(HTMLParser):
    """The links, pictures and visible words of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.pictures, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "a":
            self.links.append(attributes["href"])
        if tag == "img":
            self.pictures.append(attributes["src"])

    def handle_data(self, data):
        self.words.append(data)


def test_the_ranking_is_that_of_the_embeddings(project):
    search("mine", project / "who", project / "crops", project / "out", top=4)
    found = pd.read_csv(project / "out/ranking.csv")
    assert list(found.columns) == ["query", "rank", "gallery", "score"]
    assert (
        list(found["rank"]) == [1, 2, 3, 4] * 2 and list(found["query"]) == ["one.png"] * 4 + ["two.png"] * 4
    )

    gallery = pd.read_parquet(embed("mine", project / "crops", project / "g.parquet"))
    queries = pd.read_parquet(embed("mine", project / "who", project / "q.parquet"))
    g, q = (np.stack(frame.embedding) for frame in (gallery, queries))
    g, q = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (g, q))
    for number, (_, hits) in enumerate(found.groupby("query")):
        order = np.argsort(-(g @ q[number]))[:4]
        assert list(hits.gallery) == list(gallery.path[order])
        assert np.allclose(hits.score, (g @ q[number])[order], atol=1e-4)


def test_a_parquet_gallery_gives_the_same_ranking(project):
    search("mine", project / "who/one.png", project / "crops", project / "a")
    path = embed("mine", project / "crops", project / "g.parquet")
    search("mine", project / "who/one.png", path, project / "b")
    a, b = (pd.read_csv(project / name / "ranking.csv") for name in "ab")
    assert list(a.gallery) == list(b.gallery) and len(a) == 7  # fewer than the top 20
    assert np.allclose(a.score, b.score, atol=1e-5)
    assert (project / "a/index.html").read_text() == (project / "b/index.html").read_text()


def test_an_image_finds_itself_first(project):
    search("mine", project / "crops" / ODD, project / "crops", project / "out")
    found = pd.read_csv(project / "out/ranking.csv")
    assert found.gallery[0] == ODD and abs(found.score[0] - 1) < 1e-5
    assert found.score.is_monotonic_decreasing


def test_a_method_compares_in_its_own_way(project, monkeypatch):
    embeddings = []

    def distance(self, query, gallery):
        embeddings.append((query.shape[1:], gallery.shape[1:]))
        return -torch.cdist(query.flatten(1), gallery.flatten(1))

    monkeypatch.setattr(ERM, "similarity", distance)
    monkeypatch.setattr(ERM, "embed", lambda self, images: self.network.backbone(images)[..., :1, :])
    path = embed("mine", project / "crops", project / "g.parquet")
    for gallery in (project / "crops", path):
        search("mine", project / "crops" / ODD, gallery, project / "out")
        found = pd.read_csv(project / "out/ranking.csv")
        assert found.gallery[0] == ODD and abs(found.score[0]) < 0.05 and found.score[1] < -0.1
    assert set(embeddings) == {(torch.Size([128, 1, 2]),) * 2}


@pytest.mark.parametrize("size", [1, 3, 50])
@pytest.mark.parametrize("top", [1, 5, 99])
def test_nearest_is_a_stable_sort_whatever_the_batches(monkeypatch, size, top):
    monkeypatch.setattr(module, "QUERIES_AT_ONCE", 2)
    generator = torch.Generator().manual_seed(0)
    queries = torch.randint(-2, 3, (5, 2), generator=generator).float()  # many equal scores
    gallery = torch.randint(-2, 3, (40, 2), generator=generator).float()
    scores, rows = nearest(lambda q, g: q @ g.T, queries, gallery.split(size), top)
    expected = np.argsort(-(queries @ gallery.T).numpy(), axis=1, kind="stable")[:, :top]
    assert np.array_equal(rows, expected)
    assert np.array_equal(scores, np.take_along_axis((queries @ gallery.T).numpy(), expected, 1))


def test_the_sheet_links_images_where_they_lie(project):
    sheet = search("mine", project / "crops" / ODD, project / "crops", project / "deep/out")
    page = Page(sheet.read_text())
    assert sheet == project / "deep/out/index.html"
    assert sorted(path.name for path in sheet.parent.iterdir()) == ["index.html", "ranking.csv"]
    assert len(page.pictures) == 8 and not any("://" in link for link in [*page.links, *page.pictures])
    for link in [*page.links, *page.pictures]:
        assert (sheet.parent / unquote(link)).resolve().is_file(), link
    assert ODD in page.words  # escaped, so it reads as it is called
    assert "<b> &" not in sheet.read_text()


def test_copies_make_the_sheet_independent_of_the_images(project):
    sheet = search("mine", project / "who", project / "crops", project / "out", top=2, copy=True)
    pictures = Page(sheet.read_text()).pictures
    assert len(pictures) == 6 and all(re.fullmatch(r"images/[0-9a-f]{16}\.png", link) for link in pictures)
    assert {path.name for path in (project / "out/images").iterdir()} == {link[7:] for link in pictures}
    shown, original = Image.open(project / "out" / pictures[0]), Image.open(project / "who/one.png")
    assert np.array_equal(np.asarray(shown), np.asarray(original))


def test_many_queries_take_several_pages_and_leave_no_stale_ones(project, monkeypatch):
    monkeypatch.setattr(module, "PER_PAGE", 2)
    (project / "out").mkdir()
    (project / "out/mine.txt").write_text("keep")
    search("mine", project / "crops", project / "who", project / "out")
    names = ["index-2.html", "index-3.html", "index-4.html", "index.html", "mine.txt", "ranking.csv"]
    assert sorted(path.name for path in (project / "out").iterdir()) == names
    assert Page((project / "out/index.html").read_text()).links.count("index-4.html") == 2  # above and below
    search("mine", project / "who", project / "crops", project / "out")
    assert sorted(path.name for path in (project / "out").iterdir()) == names[3:]


def test_errors_are_sentences_and_nothing_is_written(project):
    who, crops, out = (project / name for name in ("who", "crops", "out"))
    path = embed("mine", crops, project / "g.parquet")
    trained_run.make("other", tiny.config("erm"), seed=1)
    for words, sentence in (
        (("mein", who, crops), "did you mean 'mine'"),
        (("mine", project / "nobody", crops), "nobody does not exist"),
        (("mine", who, project / "nowhere"), "nowhere does not exist"),
        (("mine", who, who / "one.png"), "is not a gallery"),
        (("other", who, path), "was embedded with mine, so other cannot search it"),
    ):
        with pytest.raises(UserError, match=sentence):
            search(*words, out)
    with pytest.raises(UserError, match="--top 0"):
        search("mine", who, crops, out, top=0)
    with pytest.raises(UserError, match="is a file"):
        search("mine", who, crops, path)
    trained_run.make("mine", tiny.config("erm"), seed=1)
    with pytest.raises(UserError, match="before mine was trained again"):
        search("mine", who, path, out)
    pd.DataFrame({"path": ["x"]}).to_parquet(project / "plain.parquet")
    with pytest.raises(UserError, match="is not a gallery"):
        search("mine", who, project / "plain.parquet", out)
    (who / "bad.png").touch()
    with pytest.raises(UserError, match=r"1 of 3 images cannot be read: bad\.png"):
        search("mine", who, crops, out)
    assert not out.exists()
    search("mine", who, crops, out, skip_unreadable=True)
    assert len(pd.read_csv(out / "ranking.csv")["query"].unique()) == 2


def test_a_gallery_that_moved_is_still_ranked(project, caplog):
    path = embed("mine", project / "crops", project / "g.parquet")
    (project / "crops").rename(project / "elsewhere")
    search("mine", project / "who", path, project / "out")
    assert "is gone: the sheet shows only names" in caplog.text
    with pytest.raises(UserError, match="is gone, so it cannot be copied"):
        search("mine", project / "who", path, project / "out", copy=True)


@pytest.mark.parametrize(
    "name", ["../secret.png", "deep/../../secret.png", "{}/secret.png", "notes.txt", None]
)
def test_a_foreign_gallery_can_name_images_below_its_folder_alone(project, name):
    path = embed("mine", project / "crops", project / "g.parquet")
    trained_run.crops(project, ["secret.png"])
    (project / "crops/notes.txt").write_text("secret")
    table = pq.read_table(path)
    names = [name and name.format(project), *table["path"].to_pylist()[1:]]
    pq.write_table(table.set_column(0, table.schema.field(0), pa.array(names, pa.string())), path)
    for copy in (False, True):
        with pytest.raises(
            UserError, match=r"g\.parquet names .*, which is not an image below .*crops: embed"
        ):
            search("mine", project / "who", path, project / "out", copy=copy)
    assert not (project / "out").exists()


def test_a_gallery_with_a_damaged_shape_is_none(project):
    path = embed("mine", project / "crops", project / "g.parquet")
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | {b"shape": b"[2"}), path)
    with pytest.raises(UserError, match="is not a gallery"):
        search("mine", project / "who", path, project / "out")


def test_the_commands(project, capsys):
    (project / "params").mkdir()
    words = ["search", "--run", "mine", "--query", "who", "--gallery", "crops", "--out", "out", "--top", "3"]
    assert cli.main(words) == 0
    assert len(pd.read_csv("out/ranking.csv")) == 6 and not (project / "out/images").exists()
    assert cli.main(["embed", "--run", "mine", "--images", "crops", "--out", "g.parquet"]) == 0
    words[6] = "g.parquet"
    assert cli.main([*words, "--copy"]) == 0 and (project / "out/images").is_dir()
    (project / "who/bad.png").touch()
    assert cli.main(words) == 1
    said = capsys.readouterr().err
    assert said.count("error: ") == 1 and "--skip-unreadable" in said
    assert cli.main([*words, "--skip-unreadable"]) == 0


def test_copies_are_not_searched_again(project):
    search("mine", project / "who", project / "crops", project / "crops/found", copy=True)
    first = pd.read_csv(project / "crops/found/ranking.csv")
    search("mine", project / "who", project / "crops", project / "crops/other", copy=True)
    assert first.equals(pd.read_csv(project / "crops/other/ranking.csv"))
    with pytest.raises(UserError, match="copies would be found again"):
        search("mine", project / "who", project / "crops", project / "crops", copy=True)


@pytest.mark.parametrize(
    "out", [".", "params", "src/dgreid", "data/runs", "data/runs/mine", "led", "../project/data"]
)
def test_the_projects_own_folders_are_not_written_to(project, monkeypatch, out):
    for name in ("params/run.yaml", "src/dgreid/errors.py"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    (project / "led").symlink_to("src")
    out = Path(out.replace("../project", f"../{project.name}"))
    before = sorted(project.rglob("*"))
    with pytest.raises(
        UserError, match=f"--out {re.escape(str(out))} is there already and belongs to the project"
    ):
        search("mine", project / "who", project / "crops", out)
    assert sorted(project.rglob("*")) == before


def test_empty_folders_of_the_project_and_earlier_searches_in_it_may_be_written_to(project):
    (project / "reports/found").mkdir(parents=True)
    for _ in range(2):
        assert search("mine", project / "who", project / "crops", Path("reports/found")).is_file()


def test_a_file_of_the_project_is_not_replaced(project):
    for name in ("Snakefile", "data/manifests/x/images.parquet", "params/run.yaml"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"path": ["a"]}).to_parquet(project / name)
        content = (project / name).read_bytes()
        with pytest.raises(UserError, match="belongs to the project: give another name"):
            embed("mine", project / "crops", Path(name))
        assert (project / name).read_bytes() == content
    (project / "g.parquet").write_bytes(b"damaged")
    for name in ("g.parquet", "data/g.parquet"):
        for _ in range(2):
            assert is_embedded(embed("mine", project / "crops", Path(name)))


def test_a_run_in_float64_is_embedded_and_searched_in_it(project):
    trained_run.make("double", tiny.config("erm", precision="float64"))
    gallery = embed("double", project / "crops", project / "g.parquet")
    assert pd.read_parquet(gallery)["embedding"][0].dtype == np.float64
    for name, where in (("stored", gallery), ("fresh", project / "crops")):
        search("double", project / "who", where, project / name)
    assert (project / "stored/ranking.csv").read_bytes() == (project / "fresh/ranking.csv").read_bytes()
