import pytest
from PIL import Image

from dgreid.errors import UserError
from dgreid.paths import PHOTOGRAPHS
from dgreid.reporting import photographs


def test_photographs_are_written_for_those_who_ask_and_nowhere_else(kept, tmp_path, monkeypatch):
    Image.new("RGB", (4, 8), "red").save(tmp_path / "07.png")
    monkeypatch.setattr(photographs, "images_root", lambda dataset: tmp_path)
    shown = photographs.photographs({kept["run"]: kept})
    assert shown == PHOTOGRAPHS / "index.html"
    assert sorted(path.name for path in shown.parent.iterdir()) == ["d-4.png", "index.html"]
    text = shown.read_text()
    assert text.count('<img src="d-4.png"') == len(kept["targets"])  # the easy query is in no protocol here
    assert "rank 9 to 10, identity 7" in text and "miniature data" in text


def test_without_queries_there_are_no_photographs(run):
    with pytest.raises(UserError, match="no run of the selection keeps what its queries scored"):
        photographs.photographs({run["run"]: run})
    assert not PHOTOGRAPHS.exists()


def test_git_ignores_the_photographs(root):
    ignored = (root / ".gitignore").read_text().splitlines()
    kept = [line for line in ignored if line.startswith("!/reports/")]
    assert "/reports/*" in ignored and kept == ["!/reports/metrics/", "!/reports/summary/"]
