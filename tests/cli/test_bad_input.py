"""Every kind of bad input, through the command line: one sentence, exit code 1, nothing half-written."""

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from dgreid import sealed
from dgreid.cli import main as cli
from helpers import random_project

RUN = "backbone=resnet_tiny protocol={}"
PAIR, UNEVEN = RUN.format("pair"), RUN.format("uneven")
TRAINED = f"method=erm {PAIR}"
FOLDER = "data/runs/erm-resnet_tiny-pair-s0"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with adopted data, protocols and a trained run, and bad archives to adopt.

    The tests share it: that nothing changes in it is what they check.
    """
    top = tmp_path_factory.mktemp("bad_input")
    folder = top / "project"
    folder.mkdir()
    random_project.make(folder)
    archives(folder)
    (folder / "empty").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DGREID_THREADS", raising=False)
        names = random_project.PEOPLE
        words = [f"adopt {name} --copy --from source/{name}" for name in names]
        words += [f"manifest dataset={name}" for name in names]
        words += [f"protocol protocol={name}" for name in random_project.PROTOCOLS]
        for line in (*words, f"train {TRAINED}"):
            assert cli.main(line.split()) == 0, line
        broken(folder)
    return folder


def archives(folder: Path) -> None:
    """Archives of a data set that are not what they should be."""
    image = (folder / "source/wide/bounding_box_train/0002_c1s1_000001_01.jpg").read_bytes()
    name = "bounding_box_train/0002_c1s1_000001_01.jpg"
    shutil.make_archive(folder / "good", "zip", folder / "source/wide")
    shutil.make_archive(folder / "good", "gztar", folder / "source/wide")
    for suffix in (".zip", ".tar.gz"):
        content = (folder / f"good{suffix}").read_bytes()
        (folder / f"truncated{suffix}").write_bytes(content[: len(content) // 2])
    (folder / "text.zip").write_text("not an archive")
    (folder / "page.zip").write_text("<!DOCTYPE html><html>Please log in</html>")
    with zipfile.ZipFile(folder / "other.zip", "w") as file:
        file.writestr("cam_a/000_45.bmp", image)
    with zipfile.ZipFile(folder / "outside.zip", "w") as file:
        file.writestr(name, image)
        file.writestr("../../../outside.jpg", image)
    with zipfile.ZipFile(folder / "link.zip", "w") as file:
        file.writestr(name, image)
        link = zipfile.ZipInfo("bounding_box_train/link")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        file.writestr(link, "/etc")
    for title in ("outside", "link", "hardlink"):
        with tarfile.open(folder / f"{title}.tar", "w") as file:
            member = tarfile.TarInfo(name)
            member.size = len(image)
            file.addfile(member, io.BytesIO(image))
            bad = tarfile.TarInfo("../../../outside.jpg" if title == "outside" else "bounding_box_train/link")
            if title != "outside":
                bad.type = tarfile.SYMTYPE if title == "link" else tarfile.LNKTYPE
                bad.linkname = "/etc/passwd"
            file.addfile(bad)


def broken(folder: Path) -> None:
    """Damage done after adoption and training."""
    (folder / "params/dataset/torn.yaml").write_text((folder / "params/dataset/wide.yaml").read_text())
    shutil.copytree(folder / "source/wide", folder / "source/torn")
    torn = folder / "source/torn/bounding_box_train/0004_c2s1_000001_01.jpg"
    torn.write_bytes(torn.read_bytes()[:300])
    assert cli.main(["adopt", "torn", "--copy", "--from", "source/torn"]) == 0
    (folder / "params/dataset/syntax.yaml").write_text("title: [\n")
    (folder / "params/protocol/list.yaml").write_text("- a\n")
    runs = folder / "data/runs"
    for name in ("half", "torso", "headless", "scrambled", "stranger", "foreign", "flipped"):
        shutil.copytree(folder / FOLDER, runs / name)
    model = runs / "half/model.safetensors"
    model.write_bytes(model.read_bytes()[:5000])
    (runs / "torso/model.safetensors").unlink()
    (runs / "headless/run.yaml").unlink()
    (runs / "scrambled/run.yaml").write_text("config: [\n")
    (runs / "flipped/run.yaml").write_text((runs / "flipped/run.yaml").read_text().replace("0.5", "0.7", 1))
    facts = sealed.read_yaml(runs / "stranger/run.yaml")
    for name, old, new in (("stranger", "classes: 16", "classes: 15"), ("foreign", ": flip", ": mirror")):
        changed = yaml.safe_load(yaml.safe_dump(facts).replace(old, new))
        (runs / name / "run.yaml").write_text(sealed.to_yaml(changed))  # as another version wrote it


def tree(top: Path) -> dict[str, bytes | None]:
    """Every path below `top` with its content, but for caches: decoded images and lock files."""
    return {
        str(path.relative_to(top)): path.read_bytes() if path.is_file() else None
        for path in sorted(top.rglob("*"))
        if path.suffix != ".lock" and "packs" not in path.parts
    }


def embed(run: str) -> str:
    return f"embed --run {run} --images source/wide --out embedded.parquet"


BAD = {
    "an archive of another data set": ("adopt wide --from other.zip", "other.zip does not look like"),
    "no archive at all": ("adopt wide --from text.zip", "text.zip is not a whole zip or tar archive"),
    "a web page": ("adopt wide --from page.zip", "a web page"),
    "a truncated zip": ("adopt wide --from truncated.zip", "truncated.zip is not a whole"),
    "a truncated tar": ("adopt wide --from truncated.tar.gz", "truncated.tar.gz: truncated or damaged"),
    "a zip member outside": (
        "adopt wide --from outside.zip",
        "'../../../outside.jpg' would be written outside",
    ),
    "a tar member outside": (
        "adopt wide --from outside.tar",
        "'../../../outside.jpg' would be written outside",
    ),
    "a link in a zip": ("adopt wide --from link.zip", "'bounding_box_train/link' is a link"),
    "a link in a tar": ("adopt wide --from link.tar", "'bounding_box_train/link' is a link"),
    "a hard link in a tar": ("adopt wide --from hardlink.tar", "'bounding_box_train/link' is a link"),
    "a missing folder": ("adopt wide --from nowhere/wide", "nowhere/wide does not exist"),
    "an empty folder": ("adopt wide --from empty", "empty does not look like"),
    "an unknown data set": ("manifest dataset=wyde", "unknown dataset 'wyde': did you mean 'wide'?"),
    "an unknown data set to adopt": ("adopt nrrow --from good.zip", "did you mean 'narrow'?"),
    "data never adopted": ("manifest dataset=market1501", "`dgreid adopt market1501 --from PATH`"),
    "a missing manifest": ("protocol protocol=open_small", "dgreid manifest dataset="),
    "an unknown method": (
        f"train method=metabim {PAIR}",
        "unknown method 'metabim': did you mean 'metabin'?",
    ),
    "an unknown key": (f"train method=erm {PAIR} recipe.epochz=3", "did you mean 'epochs'?"),
    "an unknown group": (f"train methud=erm {PAIR}", "did you mean 'method'?"),
    "an unknown command": ("trian method=erm", "did you mean 'train'?"),
    "a value of the wrong type": (f"train method=erm {PAIR} recipe.epochs=many", "'many'"),
    "a corrupt image": ("manifest dataset=torn", "0004_c2s1_000001_01.jpg: corrupt image"),
    "a broken data set file": ("manifest dataset=syntax", "params/dataset/syntax.yaml cannot be read"),
    "a broken protocol file": ("protocol protocol=list", "params/protocol/list.yaml holds a list"),
    "a domain with few identities": (f"train method=metabin {UNEVEN}", "training domain 1 has 3 identities"),
    "many meta-train domains": (f"train method=metabin {PAIR} method.meta_train_domains=9", "on 9 domains"),
    "all domains in meta-train": (f"train method=metabin {PAIR} method.meta_train_domains=2", "on 2 domains"),
    "a loss that is not finite": (
        f"train method=erm {PAIR} method.learning_rate=1e6 recipe.learning_rate_factor=1e6 "
        "recipe.precision=float32",
        "became nan by iteration",
    ),
    "a run that was never trained": (f"evaluate method=erm {UNEVEN}", "holds no trained model"),
    "settings that were never trained": (f"evaluate {TRAINED} method.margin=0.5", "holds no trained model"),
    "a run without a name": (embed("hulf"), "did you mean 'half'?"),
    "a truncated model": (embed("half"), "runs/half: its model.safetensors is damaged"),
    "a missing model": (embed("torso"), "runs/torso holds no trained model"),
    "a model without its run.yaml": (embed("headless"), "runs/headless: its run.yaml is missing"),
    "a run of another version": (embed("foreign"), "runs/foreign: its run.yaml is damaged or from"),
    "a broken run.yaml": (embed("scrambled"), "runs/scrambled: its run.yaml is damaged or"),
    "a run.yaml that was edited": (embed("flipped"), "runs/flipped: its run.yaml is damaged: train"),
    "a model of another size": (embed("stranger"), "runs/stranger: its model.safetensors is damaged"),
    "an unknown matrix": ("select miniture", "did you mean 'miniature'?"),
}


@pytest.mark.parametrize(("line", "sentence"), BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(project, monkeypatch, capfd, line, sentence):
    monkeypatch.chdir(project)
    before = tree(project.parent)
    assert cli.main(line.split()) == 1
    said = capfd.readouterr()
    assert said.err.startswith("error: ") and said.err.count("\n") == 1 and said.err.endswith("\n")
    assert sentence in said.err
    assert said.out == ""
    after = tree(project.parent)
    assert sorted(after) == sorted(before)
    assert after == before
