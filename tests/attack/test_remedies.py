"""Every remedy of docs/trouble.md: bring a state about, see the sentence, do what the page says, go on.

A row belongs to the test that quotes a sentence of it; UNTRIED and ELSEWHERE name rows without a test here.
"""

import fcntl
import json
import re
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from attack.harness import REFUSED, ROOT
from attack.project import EMBED, EVALUATE, KEYS, RUN, SEARCH, TRAIN, replica, results
from attack.project import write as replace
from helpers.tiny import DRAWN

PAGE = (ROOT / "docs/trouble.md").read_text()
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| [`a]", line)]
MANIFEST, PROTOCOL = "manifest dataset=wide", "protocol protocol=attacked"
FIRST = "source/wide/bounding_box_train/0002_c1s1_000001_01.jpg"
ELSEWHERE = {  # a sentence of the row: the test that tries its remedy
    "works in this project: waiting": "workflow/test_front_ends.py::"
    "test_the_second_front_end_waits_for_the_first",
    "was cut short by a kill": "selection/test_guard.py::test_a_signal_while_a_state_file_is_written",
    "has conflicts of a merge": "selection/test_guard.py::"
    "test_a_merge_of_two_branches_that_ran_something_goes_on_with_either_side",
    "is a plain DVC": "selection/test_guard.py::test_another_dvc_in_the_shell_is_said_in_one_line",
    "there is no git repository here": "selection/test_guard.py::test_without_git_dvc_does_without",
    "all of them": "workflow/test_front_ends.py::test_a_deleted_result_comes_back",
    "is not installed: run": "inference/test_export.py::test_errors_are_sentences",
}
UNTRIED = {  # a sentence of the row: why no test brings its state about
    "memory is short": "what a step needs differs between machines; tests/test_trouble.py has the words",
    "every GPU is used by another run": "needs CUDA; tests/test_device.py tries the locks",
    "is not above the": "the remedy is a judgement of what was trained",
    "the same vector for every image": "the remedy is a judgement of what was trained",
}
tried = []


def tries(*sentences: str):
    """Mark a test as that of the row with these sentences."""
    tried.extend(sentences)
    return lambda test: test


class Project:
    """A replica of the finished project, and what its commands say."""

    def __init__(self, server, folder: Path):
        self.server, self.folder = server, folder

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def refuses(self, line: str, sentence: str) -> None:
        """A command ends with the sentence that the page quotes."""
        said = self.server.call(line, self.folder)
        assert said.outcome == REFUSED, said
        assert quoted(sentence).search(said.err), f"{sentence}\n{said.err}"

    def goes_on(self, line: str, sentence: str | None = None) -> str:
        """A command succeeds, and says the sentence if there is one."""
        said = self.server.call(line, self.folder)
        assert said.status == 0, said
        assert not sentence or quoted(sentence).search(said.err), f"{sentence}\n{said.err}"
        return said.err

    def change(self, name: str, **values) -> str:
        """Change values of a YAML file; the text it had."""
        text = (self / name).read_text()
        replace(self / name, yaml.safe_dump(yaml.safe_load(text) | values))
        return text


def quoted(sentence: str) -> re.Pattern:
    assert sentence in PAGE, sentence
    return re.compile("[^\n]*".join(re.escape(part.strip()) for part in sentence.split("...")))


@pytest.fixture
def project(server, built, tmp_path):
    return Project(server, replica(built, tmp_path / "project"))


def test_every_row_is_tried_or_says_why_not():
    known = [*tried, *ELSEWHERE, *UNTRIED]
    assert not [row for row in ROWS if not any(sentence in row for sentence in known)]
    for sentence in known:
        assert sentence in PAGE
    for place in ELSEWHERE.values():
        file, _, name = place.partition("::")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text()


def zipped(folder: Path, to: Path) -> Path:
    return Path(shutil.make_archive(str(to), "zip", folder))


@tries("... does not look like ...; expected ... in it.")
def test_another_folder(project):
    (project / "empty").mkdir()
    project.refuses("adopt wide --replace --from empty", "... does not look like ...; expected ... in it.")
    shutil.copytree(project / "source/wide", project / "deep/er/wide")
    project.goes_on("adopt wide --replace --copy --from deep")  # it may be nested in others


@tries("... is not a whole zip or tar archive ...", "... truncated or damaged archive ...")
def test_a_download_that_stopped(project):
    whole = zipped(project / "source/wide", project / "whole").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 255
    for bad, sentence in (
        (whole[: len(whole) // 2], "... is not a whole zip or tar archive ..."),
        (b"<!DOCTYPE html><html>Please log in</html>", "... is not a whole zip or tar archive ..."),
        (flipped, "... truncated or damaged archive ..."),
    ):
        replace(project / "wide.zip", bad)
        project.refuses("adopt wide --replace --from wide.zip", sentence)
    replace(project / "wide.zip", whole)
    project.goes_on("adopt wide --replace --from wide.zip")


@tries("... is encrypted; ...", " but a ... archive; unpack it with another program and adopt the folder")
def test_an_archive_of_another_kind(project):
    path = zipped(project / "source/wide", project / "wide")
    locked = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        entry = locked.index(b"PK\x01\x02")
        locked[entry + 8] |= 1  # encrypted
        assert not file.infolist()[0].flag_bits & 1
    replace(project / "odd.zip", locked)
    project.refuses("adopt wide --replace --from odd.zip", "... is encrypted; ...")
    struct.pack_into("<H", locked, entry + 8, 0)
    struct.pack_into("<H", locked, entry + 10, 9)  # deflate64
    replace(project / "odd.zip", locked)
    sentence = "... is packed by the method ..., which Python cannot read; ..."
    project.refuses("adopt wide --replace --from odd.zip", sentence)
    replace(project / "odd.rar", b"Rar!\x1a\x07\x01\x00" + bytes(200))
    sentence = " but a ... archive; unpack it with another program and adopt the folder"
    project.refuses("adopt wide --replace --from odd.rar", sentence)
    with zipfile.ZipFile(path) as file:
        file.extractall(project / "unpacked")
    project.goes_on("adopt wide --replace --copy --from unpacked")


@tries("... would be written outside the folder.", "... is a link or a device.")
@pytest.mark.parametrize("kind", ["outside", "link"])
def test_a_hostile_archive(project, kind):
    with tarfile.open(project / "bad.tar", "w") as file:
        file.add(project / "source/wide", "wide")
        bad = tarfile.TarInfo("../../../outside.jpg" if kind == "outside" else "wide/link")
        if kind == "link":
            bad.type, bad.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(bad)
    sentences = {"outside": "... would be written outside the folder.", "link": "... is a link or a device."}
    project.refuses("adopt wide --replace --from bad.tar", sentences[kind])
    with tarfile.open(project / "bad.tar") as file:
        good = [member for member in file if member.name != bad.name]
        file.extractall(project / "unpacked", good, filter="data")
    project.goes_on("adopt wide --replace --copy --from unpacked")


@tries("... not the published ...")
def test_images_too_many(project):
    project.change("params/dataset/wide.yaml", expect={"images": 28, "ids": 7})
    line = "adopt wide --replace --copy --from source/wide"
    project.refuses(line, "... not the published ...")
    for path in (project / "source/wide/bounding_box_train").glob("0009_*"):  # the eighth identity
        path.rename(project / path.name)
    project.goes_on(line)


@tries("... of ... image files are not named as in ...")
def test_other_images_between(project):
    folder = project / "source/wide/bounding_box_train"
    for name in ("holiday.jpg", "cat.jpg"):
        shutil.copy(project / FIRST, folder / name)
    line = "adopt wide --replace --copy --from source/wide"
    project.refuses(line, "... of ... image files are not named as in ...")
    for name in ("holiday.jpg", "cat.jpg"):
        (folder / name).rename(project / name)
    project.goes_on(line)


@tries("...: not taken: ...")
def test_what_is_left_out_is_said(project):
    (project / "crops/.hidden.png").touch()
    (project / "crops/notes.txt").touch()
    project.goes_on(EMBED, "...: not taken: ...")


@tries("... corrupt image ...")
def test_a_damaged_image(project):
    path, before = project / "crops/3.png", (project / "crops/3.png").read_bytes()
    replace(path, before[:300])
    project.refuses(EMBED, "... corrupt image ...")
    assert "3.png" in project.goes_on(f"{EMBED} --skip-unreadable", "... corrupt image ...")
    replace(path, before)
    project.goes_on(EMBED)


@tries("... are nearly black; scale them to 16 bits.")
def test_ten_bits_in_sixteen(project):
    values = np.random.default_rng(0).integers(0, 1024, (64, 32), dtype=np.uint16)
    folder = project / "dark"
    folder.mkdir()
    for scale in (1, 64):
        Image.fromarray(values * np.uint16(scale)).save(folder / "a.png")
        said = project.goes_on(f"embed --run {RUN} --images dark --out dark.parquet")
        assert ("nearly black; scale them to 16 bits." in said) == (scale == 1)


@tries("...: its pixels are ..., whose colours are not known; save it as 8-bit RGB.")
def test_pixels_without_colours(project):
    picture = Image.fromarray(np.random.default_rng(0).random((64, 32), dtype=np.float32))
    folder = project / "float"
    folder.mkdir()
    line = f"embed --run {RUN} --images float --out float.parquet"
    picture.save(folder / "a.tif")
    project.refuses(line, "...: its pixels are ..., whose colours are not known; save it as 8-bit RGB.")
    Image.fromarray((np.asarray(picture) * 255).astype(np.uint8)).convert("RGB").save(folder / "a.tif")
    project.goes_on(line)


@tries("... is in use by another program; close it there, and run this again.")
def test_a_file_that_another_program_holds(project):
    node = yaml.safe_load((project / "params/dataset/mini_cuhk03.yaml").read_text())["miniature"]
    sizes = node | {"sizes": DRAWN["mini_cuhk03"]}
    project.change("params/dataset/mini_cuhk03.yaml", expect={}, miniature=sizes)
    project.goes_on("synthesize dataset=mini_cuhk03")
    project.goes_on("manifest dataset=mini_cuhk03")
    (path,) = (project / "data/raw/mini_cuhk03").rglob("cuhk-03.mat")
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as HDF5 locks what it writes
        sentence = "... is in use by another program; close it there, and run this again."
        project.refuses("manifest dataset=mini_cuhk03", sentence)
    project.goes_on("manifest dataset=mini_cuhk03")


@tries("..., so it would find itself: leave it out of one of the two.")
def test_a_query_in_its_own_gallery(project):
    replace(project / "params/dataset/hall.yaml", "{title: A hall, parser: ilids, access: drawn}")
    rng = np.random.default_rng(0)
    (project / "hall/Persons").mkdir(parents=True)
    names = [f"{person:04d}{number:03d}.jpg" for person in range(1, 9) for number in (1, 2)]
    for name in names:
        picture = Image.fromarray(rng.integers(0, 256, (64, 32, 3), dtype=np.uint8))
        picture.save(project / "hall/Persons" / name)
    project.goes_on("adopt hall --copy --from hall")
    entries = [[f"Persons/{name}", int(name[:4]), 0] for name in names]
    split = {"train": entries[:8], "query": entries[8::2], "gallery": entries[9::2]}
    line = "splits import hall --from self.json --name self"
    replace(project / "self.json", json.dumps([split | {"gallery": entries[8:]}]))
    project.refuses(line, "..., so it would find itself: leave it out of one of the two.")
    replace(project / "self.json", json.dumps([split]))
    project.goes_on(line)


@tries("...: its files are not those adopted from ...")
@pytest.mark.parametrize("remedy", ["put back", "replace"])
def test_files_that_changed_after_the_adoption(project, remedy):
    (lost,) = (project / "data/raw/wide").rglob(Path(FIRST).name)
    moved = lost.rename(project / lost.name)
    project.refuses(MANIFEST, "...: its files are not those adopted from ...")
    if remedy == "put back":
        moved.rename(lost)
    else:
        project.goes_on("adopt wide --replace --copy --from source/wide")
    project.goes_on(MANIFEST)


@tries("...: its pixels are not those that the manifest was made from: ...")
@pytest.mark.parametrize("remedy", ["put back", "manifest"])
def test_an_image_that_changed_after_the_manifest(project, remedy):
    (path,) = (project / "data/raw/wide").rglob(Path(FIRST).name)
    before = path.read_bytes()
    replace(path, (project / FIRST.replace("0002_c1", "0003_c1")).read_bytes())
    for pack in (project / "data/packs").glob("wide-*"):
        pack.unlink()
    shutil.rmtree(project / f"data/runs/{RUN}")
    project.refuses(TRAIN, "...: its pixels are not those that the manifest was made from: ...")
    if remedy == "put back":
        replace(path, before)
    else:
        replace(project / FIRST, path.read_bytes())  # it is meant to be so
        project.goes_on("adopt wide --copy --replace --from source/wide")
        for line in (MANIFEST, PROTOCOL):
            project.goes_on(line)
    project.goes_on(TRAIN)


@tries("...: ... is not here; ...")
def test_a_data_set_that_was_never_adopted(project):
    shutil.rmtree(project / "data/raw/wide")
    project.refuses(MANIFEST, "...: ... is not here; ...")
    project.goes_on("adopt wide --copy --from source/wide")
    project.goes_on(MANIFEST)


@pytest.fixture
def backbone():
    """A backbone that resnet_tiny's weights come from."""
    from dgreid.networks import backbones
    from helpers import tiny

    return backbones.build(backbones.read(tiny.read("backbone", "resnet_tiny")), size=(64, 32))


def with_weights(value: str) -> str:
    return f"{TRAIN} recipe.weights={value}"


@tries("... which would execute code; load it with its own program and save its state_dict alone.")
def test_a_pickled_module(project, backbone):
    torch.save(backbone, project / "whole.pth")
    sentence = "... which would execute code; load it with its own program and save its state_dict alone."
    project.refuses(with_weights("whole.pth"), sentence)
    file = project / "whole.pth"
    torch.save(torch.load(file, weights_only=False).state_dict(), project / "weights.pth")
    project.goes_on(with_weights("weights.pth"))


@tries("no ImageNet weights of ... to download: put the file at ...")
def test_no_weights_to_download(project, backbone):
    sentence = "no ImageNet weights of ... to download: put the file at ..."
    project.refuses(with_weights("imagenet"), sentence)
    (project / "data/weights").mkdir()
    torch.save(backbone.state_dict(), project / "data/weights/resnet_tiny_imagenet.pt")
    project.goes_on(with_weights("imagenet"))
    shutil.rmtree(project / "data/weights")
    project.goes_on(TRAIN.replace("method=erm", "method=erm_in") + " recipe.weights=none")


@tries("weights ... do not fit ...; choose the backbone they were trained with.")
def test_weights_of_another_network(project, backbone):
    torch.save(backbone.state_dict(), project / "weights.pth")
    line = with_weights("weights.pth")
    other = line.replace("backbone=resnet_tiny", "backbone=mobilenet_v2_x0_25")
    project.refuses(other, "weights ... do not fit ...; choose the backbone they were trained with.")
    project.goes_on(line)


@tries("stopped; run the same command again to continue.")
def test_ctrl_c(project):
    trained = [f"data/runs/{RUN}"]
    expected = results(project.folder, trained)
    shutil.rmtree(project / trained[0])
    said = project.server.call(TRAIN, project.folder, fault="interrupt", at=20)
    assert said.status == 130 and "stopped; run the same command again to continue." in said.err
    project.goes_on(TRAIN)
    assert results(project.folder, trained) == expected


@tries("... make room there, or link the folder to a larger disk, and run the same command again")
def test_a_full_disk(project, tmp_path):
    trained = [f"data/runs/{RUN}"]
    expected = results(project.folder, trained)
    shutil.rmtree(project / trained[0])
    said = project.server.call(TRAIN, project.folder, fault="full", at=10)
    sentence = "... make room there, or link the folder to a larger disk, and run the same command again"
    assert said.outcome == REFUSED and quoted(sentence).search(said.err)
    shutil.move(project / "data/runs", tmp_path / "larger")
    (project / "data/runs").symlink_to(tmp_path / "larger")
    project.goes_on(TRAIN)
    assert results(project.folder, trained) == expected
    project.goes_on(EVALUATE)


@tries("... became ... by iteration ... of ...: lower recipe.learning_rate_factor or method.learning_rate.")
def test_a_training_that_diverges(project):
    sentence = (
        "... became ... by iteration ... of ...: lower recipe.learning_rate_factor or method.learning_rate."
    )
    line = f"{TRAIN} method.learning_rate=1e6"
    project.refuses(f"{line} recipe.learning_rate_factor=1e6", sentence)
    project.goes_on(f"{line} recipe.learning_rate_factor=1e-8")


@tries("... has ... identities but a batch takes ...: lower recipe.identities_per_domain, ...")
def test_few_identities(project):
    line = f"{TRAIN} recipe.identities_per_domain="
    sentence = "... has ... identities but a batch takes ...: lower recipe.identities_per_domain, ..."
    project.refuses(f"{line}30", sentence)
    project.goes_on(f"{line}2")


@tries("... cannot be read (...), which says nothing of its content: ...")
def test_a_file_out_of_reach(project):
    path = project / f"data/runs/{RUN}/run.yaml"
    kept = path.rename(project / "kept")
    path.mkdir()  # root reads a file whatever its mode
    project.refuses(EMBED, "... cannot be read (...), which says nothing of its content: ...")
    path.rmdir()
    kept.rename(path)
    project.goes_on(EMBED)


DAMAGED = {  # the file on the page: one of them, the command that reads it, the remedies
    "`data/manifests/NAME/`": ("data/manifests/wide/images.parquet", PROTOCOL, [MANIFEST]),
    "`data/protocols/NAME/`": ("data/protocols/attacked/train.parquet", TRAIN, [PROTOCOL]),
    "`data/runs/RUN/`": (f"data/runs/{RUN}/model.safetensors", EMBED, [TRAIN]),
    "`reports/metrics/RUN.json`": (f"reports/metrics/{RUN}.json", "report", [EVALUATE]),
    "`data/queries/RUN.parquet`": (f"data/queries/{RUN}.parquet", "report", [EVALUATE]),
    "`params/matrix.yaml`": ("params/matrix.yaml", "report", ["select attacked"]),
    "an embedded gallery": ("embedded.parquet", SEARCH, [EMBED.replace("out/crops", "embedded")]),
}
tries(*DAMAGED)


@pytest.mark.parametrize("file", DAMAGED)
def test_a_damaged_file_is_made_again(project, file):
    assert file in PAGE
    name, reader, remedies = DAMAGED[file]
    path = project / name
    if file == "`data/runs/RUN/`":  # not the cost, which differs between repetitions
        expected = path.read_bytes()
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    replace(path, bytes(content))
    said = project.server.call(reader, project.folder)
    assert said.outcome == REFUSED and Path(name).name in said.err, said
    for line in remedies:
        assert line.split()[0] in PAGE
        project.goes_on(line)
    project.goes_on(reader)
    if file == "`data/runs/RUN/`":
        assert path.read_bytes() == expected


@tries("... was made from other settings or code than the present; ...")
@pytest.mark.parametrize("remedy", ["put back", "run again"])
def test_a_report_of_other_settings(project, remedy):
    before = project.change("params/recipe/brief.yaml", weight_decay=0.01)
    sentence = "... was made from other ... than the present; ..."
    project.refuses("report", sentence)
    if remedy == "put back":
        replace(project / "params/recipe/brief.yaml", before)
    else:  # as the front ends do
        for line in (TRAIN, EVALUATE):
            for method in ("erm", "erm_in"):
                project.goes_on(line.replace("method=erm", f"method={method}"))
    project.goes_on("report")


@tries("... was trained with another ... than asked for: ...")
def test_a_run_of_other_settings(project):
    before = project.change("params/recipe/brief.yaml", weight_decay=0.01)
    project.refuses(EVALUATE, "... was trained with another ... than asked for: ...")
    replace(project / "params/recipe/brief.yaml", before)
    project.goes_on(EVALUATE)
    project.change("params/recipe/brief.yaml", weight_decay=0.01)
    project.goes_on(TRAIN)
    project.goes_on(EVALUATE)


@tries("... holds the metrics of ..., so its name is wrong: delete or rename the file.")
def test_copied_metrics(project):
    copy = project / f"reports/metrics/{RUN}-copy.json"
    shutil.copy(project / f"reports/metrics/{RUN}.json", copy)
    project.refuses(
        "report", "... holds the metrics of ..., so its name is wrong: delete or rename the file."
    )
    copy.unlink()
    project.goes_on("report")


@tries("unknown ... did you mean ...")
def test_a_typing_error(project):
    project.refuses(f"evaluate method=ermm {KEYS}", "unknown ... did you mean ...")
    project.goes_on(EVALUATE)


@tries("... this is no name: ...", "... cannot be named, so rename it: ...")
def test_a_name_that_is_none(project):
    bad = project / "params/method/my erm.yaml"
    shutil.copy(project / "params/method/erm.yaml", bad)
    words = ["train", "method=my erm", *KEYS.split()]
    project.refuses(words, "... cannot be named, so rename it: ...")
    bad.rename(bad.with_name("my_erm.yaml"))
    project.goes_on(f"train method=my_erm {KEYS}")


@tries("--out ... is there already and belongs to the project: give another name.")
def test_a_result_among_the_projects_files(project):
    line = f"search --run {RUN} --query crops/0.png --gallery crops --out "
    sentence = "--out ... is there already and belongs to the project: give another name."
    project.refuses(f"{line}params", sentence)
    project.goes_on(f"{line}found")


@tries("there is no ... here: run dgreid from the project's root folder.")
def test_another_working_folder(project):
    inside = Project(project.server, project / "source")
    inside.refuses("protocols", "there is no ... here: run dgreid from the project's root folder.")
    project.goes_on("protocols")
