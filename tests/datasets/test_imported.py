"""Somebody's splits.json, in the shapes torchreid and MetaBIN write."""

import json
import re

import pytest

from dgreid import sealed
from dgreid.datasets import imported, parse, read_splits
from dgreid.datasets.config import DatasetConfig
from dgreid.datasets.manifest import build, write_manifest
from dgreid.errors import UserError
from helpers.damage import damaged


@pytest.fixture
def place(layouts, config, monkeypatch, tmp_path):
    """place(name): a tiny data set that counts as adopted; returns (configuration, root)."""

    def make(name) -> tuple[DatasetConfig, object]:
        settings, root = config(name), layouts(name)
        monkeypatch.setattr(imported, "load_dataset", lambda _: settings)
        monkeypatch.setattr(imported, "images_root", lambda _: root)
        return settings, root

    return make


def save(tmp_path, splits):
    file = tmp_path / "splits.json"
    file.write_text(json.dumps(splits))
    return file


def entries(root, *paths):
    return [[f"{root}/{path}", number, number % 2] for number, path in enumerate(paths)]


def viper(train=(0, 3, 4), test=(500, 501, 873), root="/home/a/reid/viper/VIPeR"):
    pair = {p: (f"cam_a/{p:03d}_45.bmp", f"cam_b/{p:03d}_90.bmp") for p in (*train, *test)}
    return {
        "train": entries(root, *(path for person in train for path in pair[person])),
        "query": entries(root, *(pair[person][0] for person in test)),
        "gallery": entries(root, *(pair[person][1] for person in test)),
        "num_train_pids": len(train),
    }


def test_lists_of_paths_become_one_more_split_set_of_the_manifest(place, tmp_path):
    settings, root = place("viper")
    other = viper((0, 3, 500), (4, 501, 873), root="C:\\data\\VIPeR")
    file = imported.import_splits("viper", save(tmp_path, [viper(), other]), "theirs", tmp_path / "splits")
    assert file == tmp_path / "splits/viper-theirs.json"
    parsed = parse(settings, root)
    imported.add_imported("viper", parsed, tmp_path / "splits")
    tables = build(settings, root, parsed)
    write_manifest(tmp_path / "manifest", *tables)
    table = read_splits(tmp_path / "manifest")
    theirs = table[table.split_set == "viper/theirs"]
    assert theirs.groupby(["split", "role"]).size().to_dict() == {
        (number, role): size
        for number in (0, 1)
        for role, size in (("train", 6), ("query", 3), ("gallery", 3))
    }
    first = theirs[(theirs.split == 0) & (theirs.role == "query")].image_id.tolist()
    assert first == [f"viper/original/cam_a/{person}_45.bmp" for person in (500, 501, 873)]
    assert "imported from splits.json, sha256 " in json.loads(tables[2]["generators"])["viper/theirs"]
    assert set(json.loads(tables[2]["split_contents"])) == {"viper/rand10_a2b", "viper/theirs"}


def test_lists_of_identity_numbers_as_torchreid_writes_prid(place, tmp_path):
    place("prid2011")  # both cameras show 1-6; 7-9 and 7-12 are different people
    file = imported.import_splits(
        "prid2011", save(tmp_path, [{"train": [1, 3, 5], "test": [2, 4, 6]}]), "theirs", tmp_path
    )
    node = json.loads(file.read_text())
    assert node["split_set"] == "prid/theirs"
    (split,) = node["splits"]
    assert split["train"] == [f"cam_{c}/person_000{person}.png" for person in (1, 3, 5) for c in "ab"]
    assert split["query"] == [f"cam_a/person_000{person}.png" for person in (2, 4, 6)]
    assert split["gallery"] == [f"cam_b/person_{person:04d}.png" for person in (2, 4, 6, *range(7, 13))]


def test_equal_file_names_are_told_apart_by_their_folder(place, tmp_path):
    place("prid2011")
    names = {"train": ["cam_a/person_0001.png", "cam_b/person_0001.png"]}
    names |= {"query": ["cam_a/person_0002.png"], "gallery": ["cam_b/person_0002.png"]}
    split = {role: entries("/x/single_shot", *paths) for role, paths in names.items()}
    file = imported.import_splits("prid2011", save(tmp_path, [split]), "few", tmp_path)
    assert json.loads(file.read_text())["splits"] == [names]
    split["query"] = [["person_0002.png", 0, 0]]
    with pytest.raises(UserError, match=r"split 0: person_0002\.png could be 2 images"):
        imported.import_splits("prid2011", save(tmp_path, [split]), "few", tmp_path)


BAD = {
    "a list of splits": {"train": []},
    "expected train, query and gallery": [{"train": [["a", 0, 0]], "test": []}],
    "found nothing": [{}],
    "x.bmp is none of this data set": [viper() | {"query": [["x.bmp", 0, 0]]}],
    "is in the training and in the test role": [viper(test=(4, 500, 501))],
    "has no match in the gallery": [viper() | {"gallery": viper()["gallery"][:2]}],
    "2 splits are the same": [viper(), viper()],
    "no images in role gallery": [viper() | {"gallery": []}],
    "no images in role train and query and gallery": [{"train": [], "query": [], "gallery": []}],
    "expected train, query and gallery as lists": [{k: v for k, v in viper().items() if k != "gallery"}],
    "is twice in role query": [viper() | {"query": viper()["query"] * 2}],
    "is twice in role train": [viper() | {"train": viper()["train"] * 2}],
    "unknown role 'val'": [viper() | {"val": viper()["train"]}],
    "of [path, identity, camera]": [viper() | {"train": [[viper()["train"][0][0], True, 0]]}],
    "as lists of [path": [viper() | {"train": [[viper()["train"][0][0], 1e30, 0]]}],
    "path, identity, camera], or": [viper() | {"train": [[viper()["train"][0][0], 0, 10**10]]}],
    "train and test as lists of identity numbers": [{"train": [10**30], "test": [True]}],
    "identity 999 is not seen by both": [{"train": [0, 3], "test": [999]}],
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_files_are_one_sentence_and_write_nothing(place, tmp_path, sentence):
    place("viper")
    with pytest.raises(UserError, match=re.escape(sentence)) as caught:
        imported.import_splits("viper", save(tmp_path, BAD[sentence]), "theirs", tmp_path / "splits")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "splits").glob("*")) if (tmp_path / "splits").exists() else True


@pytest.mark.parametrize("gallery", [(1,), (1, 2)])
def test_a_gallery_with_the_queries_themselves_is_refused_where_cameras_are_unknown(place, tmp_path, gallery):
    place("ilids")

    def part(people, numbers):
        return entries("x", *(f"Persons/{p:04d}{i:03d}.jpg" for p in people for i in numbers))

    split = {"train": part((1, 2, 3), (1, 2)), "query": part((4, 5), (1,))}
    sound = imported.import_splits(
        "ilids", save(tmp_path, [split | {"gallery": part((4, 5), (2,))}]), "good", tmp_path / "splits"
    )
    assert sound.is_file()
    with pytest.raises(UserError, match=r"query Persons/0004001\.jpg is also in the gallery"):
        imported.import_splits(
            "ilids", save(tmp_path, [split | {"gallery": part((4, 5), gallery)}]), "bad", tmp_path / "splits"
        )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_any_encoding_of_json_is_read(place, tmp_path, encoding):
    place("viper")
    file = tmp_path / "splits.json"
    file.write_bytes(json.dumps([viper()], indent=1).replace("\n", "\r\n").encode(encoding))
    assert imported.import_splits("viper", file, "theirs", tmp_path).is_file()


def test_a_file_nested_too_deeply_or_no_file_is_one_sentence(place, tmp_path):
    place("viper")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="nested too deeply"):
        imported.import_splits("viper", tmp_path / "deep.json", "theirs", tmp_path)
    with pytest.raises(UserError, match="is no file"):
        imported.import_splits("viper", tmp_path, "theirs", tmp_path)
    (tmp_path / "viper-x.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="not an imported split set"):
        imported.add_imported("viper", imported.Parsed([]), tmp_path)


@pytest.mark.parametrize("change", [{"gallery": []}, {"val": []}])
def test_our_own_file_has_every_role_and_no_other(place, tmp_path, change):
    settings, root = place("viper")
    file = imported.import_splits("viper", save(tmp_path, [viper()]), "theirs", tmp_path)
    node = sealed.read_json(file)
    node["splits"][0] |= change
    node["content"] = imported.content(node["splits"])
    file.write_text(sealed.to_json(node))
    with pytest.raises(UserError, match=r"split 0: .*role.*import it again"):
        imported.add_imported("viper", parse(settings, root), tmp_path)


def test_names_that_cannot_be(place, tmp_path):
    place("viper")
    with pytest.raises(UserError, match="comes with viper"):
        imported.import_splits("viper", save(tmp_path, [viper()]), "rand10_a2b", tmp_path)
    with pytest.raises(UserError, match="small letters"):
        imported.import_splits("viper", save(tmp_path, [viper()]), "../x", tmp_path)
    (tmp_path / "no.json").write_text("<html>")
    with pytest.raises(UserError, match="not a JSON file"):
        imported.import_splits("viper", tmp_path / "no.json", "theirs", tmp_path)


def test_a_changed_or_foreign_file_is_refused_by_the_manifest(place, tmp_path):
    settings, root = place("viper")
    file = imported.import_splits("viper", save(tmp_path, [viper()]), "theirs", tmp_path)
    whole = file.read_text()
    file.write_text(whole.replace("cam_a/500_45.bmp", "cam_a/501_45.bmp", 1))
    with pytest.raises(UserError, match="changed after the import"):
        imported.add_imported("viper", parse(settings, root), tmp_path)
    file.write_text("[]")
    with pytest.raises(UserError, match="not an imported split set"):
        imported.add_imported("viper", parse(settings, root), tmp_path)
    file.write_text(whole)
    (root / "cam_a/500_45.bmp").rename(root / "cam_a/500_46.bmp")
    with pytest.raises(UserError, match=r"cam_a/500_45\.bmp is not in this copy"):
        imported.add_imported("viper", parse(settings, root), tmp_path)
    imported.add_imported(
        "prid2011", parse(settings, root), tmp_path
    )  # another data set's files are not read


def test_a_flipped_bit_anywhere_in_our_own_file_is_noticed_or_changes_nothing(place, tmp_path):
    settings, root = place("viper")
    file = imported.import_splits("viper", save(tmp_path, [viper()]), "theirs", tmp_path)
    whole = file.read_bytes()

    def read():
        parsed = parse(settings, root)
        imported.add_imported("viper", parsed, tmp_path)
        return parsed.splits, parsed.generators

    expected, refused = read(), 0
    for way, content in damaged(whole, 40):
        file.write_bytes(content)
        try:
            assert read() == expected, way
        except UserError as error:
            assert "import it again" in str(error)
            refused += 1
    assert refused > 30
