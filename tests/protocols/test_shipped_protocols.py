"""Every shipped protocol assembles from data in the layouts it names."""

import io
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest

from dgreid.datasets import parse, parser
from dgreid.datasets.adopt.extract import extract
from dgreid.datasets.config import load_dataset
from dgreid.datasets.manifest import build as build_manifest
from dgreid.datasets.manifest import write_manifest
from dgreid.errors import UserError
from dgreid.miniature import writers
from dgreid.miniature.render import World
from dgreid.params import names as choices
from dgreid.protocols import build
from dgreid.protocols.config import ProtocolConfig, load_protocol
from dgreid.protocols.notation import SPLIT_SETS
from dgreid.runs.config import load_run


def published() -> list[str]:
    return [name for name in choices("protocol") if name.startswith(("metabin", "supervised", "m3l", "lda"))]


@pytest.mark.parametrize(
    ("name", "batch", "epochs"), [("metabin_m2d", 96, 120), ("metabin_d2m", 96, 120), ("metabin_dg", 80, 100)]
)
def test_the_proposed_recipe_composes_and_fills_the_released_batch(root, name, batch, epochs):
    run = load_run(["method=metabin", "backbone=resnet50", f"protocol={name}"])
    recipe = run.recipe
    assert recipe.identities_per_domain * recipe.images_per_identity * run.protocol.expect["domains"] == batch
    assert recipe.epochs == epochs
    jitters = [step for step in run.image.train if step.operation == "color_jitter"]
    assert (run.image.height, len(jitters)) == (256, name != "metabin_dg")


SMALL = {  # real data set: writer, sizes
    "market1501": ("market1501", {
        "train_identities": 4, "images_per_train_identity": 12, "test_identities": 4,
        "gallery_images_per_test_identity": 6, "distractors": 2, "junk": 2}),
    "dukemtmc": ("dukemtmc", {
        "train_identities": 6, "images_per_train_identity": 16, "test_identities": 3,
        "gallery_images_per_test_identity": 4, "gallery_only_identities": 1}),
    "msmt17": ("msmt17", {
        "train_identities": 5, "images_per_train_identity": 4, "test_identities": 4,
        "gallery_images_per_test_identity": 4}),
    "cuhk02": ("cuhk02", {"identities": 20}),
    "cuhk03": ("cuhk03_np", {"train_identities": 5, "test_identities": 5}),
    "cuhk03_both": ("cuhk03", {"identities": 30, "test_identities": 8}),
    "cuhksysu": ("cuhksysu", {"identities": 5, "scenes": 12, "most_appearances": 3}),
    "viper": ("viper", {"identities": 12}),
    "prid2011": ("prid2011", {"shared_identities": 8, "only_a_identities": 3, "only_b_identities": 4}),
    "grid": ("grid", {"pairs": 12, "distractors": 5}),
    "ilids": ("ilids", {"identities": 12}),
}  # fmt: skip
FIRST_VERSION = {"MSMT17_V2": "MSMT17_V1", "mask_train_v2": "train", "mask_test_v2": "test"}


def noise(path: str) -> np.ndarray:
    seed = list(path.encode())
    return np.random.default_rng(seed).integers(0, 256, (128, 64, 3), dtype=np.uint8)


def lay_out(folder, dataset):
    """Noise in the layout of `dataset`, extracted to folder/dataset; only the pictures are not drawn."""
    layout, sizes = SMALL[{"msmt17_v1": "msmt17", "cuhk03_labeled": "cuhk03"}.get(dataset, dataset)]
    writer, world = writers.writer(layout), World(dataset)
    pairs = [
        (item, writers.encode(noise(f"{dataset}/{item.path}"), item.size, writer.ENCODING, 90))
        for item in writer.plan(sizes, world)
    ]
    packed = writer.pack(pairs, sizes, world) if hasattr(writer, "pack") else ((i.path, c) for i, c in pairs)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in packed:
            for old, new in FIRST_VERSION.items() if dataset == "msmt17_v1" else ():
                path = path.replace(old, new)
            archive.writestr(path, content)
    (folder / f"{dataset}.zip").write_bytes(buffer.getvalue())
    extract(folder / f"{dataset}.zip", folder / dataset)
    return folder / dataset


def save(manifests, config, folder):
    config = config.model_copy(update={"expect": {}, "recalled": {}})
    root = parser(config.parser).LAYOUT.find(folder)
    write_manifest(manifests / config.name, *build_manifest(config, root, parse(config, root)))


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    """Manifests of small data sets under the real names."""
    folder, monkeypatch = tmp_path_factory.mktemp("noise"), pytest.MonkeyPatch()
    monkeypatch.chdir(__file__.rsplit("/tests/", 1)[0])
    for dataset in (*SMALL, "msmt17_v1", "cuhk03_labeled"):
        config = load_dataset(dataset)
        if dataset == "prid2011":
            config = config.model_copy(update={"options": {**config.options, "shared": 8}})
        save(folder / "manifests", config, lay_out(folder, dataset))
    monkeypatch.undo()
    return folder / "manifests"


def test_the_short_notation_knows_the_split_sets_that_parsers_make(root, manifests):
    made: dict[str, set[str]] = {}
    for folder in manifests.iterdir():
        found = pd.read_parquet(folder / "splits.parquet").split_set
        made.setdefault(load_dataset(folder.name).parser, set()).update(found)
    asked = {target.split_set for name in published() for target in load_protocol(name).targets}
    assert set.union(*made.values()) >= asked
    for name, found in made.items():
        assert found <= set(SPLIT_SETS[name]), name


def without_counts(name: str) -> ProtocolConfig:
    node = load_protocol(name).model_dump()
    return ProtocolConfig.model_validate(
        node | {"expect": {}, "targets": [target | {"expect": {}} for target in node["targets"]]}
    )


def test_every_published_protocol_assembles_from_its_layouts(root, manifests):
    for name in published():
        shipped = load_protocol(name)
        protocol = build(without_counts(name), manifests)
        assert protocol.kind == "unverified"  # the layouts are small: no count is expected of them
        assert len(protocol.domains) == shipped.expect["domains"], name
        assert list(protocol.targets) == [target.name for target in shipped.targets]
        splits = {name: len(pairs) for name, pairs in protocol.targets.items()}
        assert set(splits.values()) <= {1, 10}
    with pytest.raises(UserError, match=r"training set: .* instead of"):
        build(shipped, manifests)  # so small a copy cannot pass for the papers' data


def test_val_trains_only_where_the_split_set_says_so(manifests):
    def images(split_set):
        sources = [{"dataset": "msmt17", "split_set": split_set}]
        return len(build(protocol(sources, "market1501", "market1501/official"), manifests).train)

    assert (images("msmt17/official"), images("msmt17/official_with_val")) == (18, 20)


def test_the_small_open_protocol_takes_the_training_part_of_a_whole_market(root, manifests):
    (market,) = [part for part in load_protocol("open_small").sources if part.dataset == "market1501"]
    train = build(protocol([market.model_dump()], "grid", "grid/official10"), manifests).train
    assert len(train) == 4 * 12 and train.path.str.startswith("bounding_box_train/").all()


def test_a_copy_without_the_training_part_of_a_split_set_is_refused(manifests, tmp_path, root):
    config = load_dataset("market1501")
    copy = shutil.copytree(manifests.parent / "market1501", tmp_path / "market1501")
    shutil.rmtree(next(copy.rglob("bounding_box_train")))
    save(tmp_path / "manifests", config, copy)
    save(tmp_path / "manifests", load_dataset("grid"), manifests.parent / "grid")
    node = protocol(
        [{"dataset": "market1501", "split_set": "market1501/official"}], "grid", "grid/official10"
    )
    node = node.model_copy(update={"allow_partial": True})
    with pytest.raises(
        UserError, match=r"market1501/official of this copy of market1501 has no .* role train"
    ):
        build(node, tmp_path / "manifests")


def test_market_distractors_and_junk_train_nowhere(manifests):
    train = build(protocol([{"dataset": "market1501"}], "viper", "viper/rand10_a2b"), manifests).train
    assert not train.path.str.contains("/0000_|/-1_").any()


def protocol(sources, dataset, split_set):
    target = {"name": "T", "dataset": dataset, "split_set": split_set}
    node = {"name": "test", "title": "", "recipe": "none", "image": "none"}
    return ProtocolConfig.model_validate(node | {"sources": sources, "targets": [target]})


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ({"dataset": "cuhk03"}, ("cuhk03", "cuhk03/np_detected")),
        ({"dataset": "cuhk03_labeled"}, ("cuhk03", "cuhk03/np_detected")),
        ({"dataset": "cuhk03_both"}, ("cuhk03_labeled", "cuhk03/np_labeled")),
        ({"dataset": "msmt17_v1"}, ("msmt17", "msmt17/official")),
        ({"dataset": "market1501"}, ("market1501", "market1501/official")),
    ],
)
def test_r7_all_images_of_a_set_and_its_own_test_identities(manifests, source, target):
    with pytest.raises(UserError, match=r"the identity of .* also trains"):
        build(protocol([source], *target), manifests)


def test_the_two_versions_of_msmt17_keep_identities_apart_in_their_training_parts(manifests):
    source = {"dataset": "msmt17_v1", "split_set": "msmt17/official_with_val"}
    assert build(protocol([source], "msmt17", "msmt17/official"), manifests).kind == "unverified"


SIDES = {"detected": (1390, 1202), "labeled": (1202, 1390)}  # who trains, who is searched


@pytest.fixture
def leaky(tmp_path, root):
    """Manifests of CUHK03 whose two variants have the two identities on different sides."""
    for variant, dataset in (("detected", "cuhk03"), ("labeled", "cuhk03_labeled")):
        trains, searched = SIDES[variant]
        names = [f"bounding_box_train/{p:04d}_c{v}_1.png" for p in (1, 2, trains) for v in (1, 2)]
        names += [f"query/{searched:04d}_c1_1.png", f"bounding_box_test/{searched:04d}_c2_6.png"]
        for name in names:
            file = tmp_path / dataset / "cuhk03-np" / variant / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(writers.encode(noise(f"{variant}/{name}"), (40, 90), "png", 90))
        save(tmp_path / "manifests", load_dataset(dataset), tmp_path / dataset)
    return tmp_path / "manifests"


@pytest.mark.parametrize(("trained", "other"), [("detected", "labeled"), ("labeled", "detected")])
def test_r7_identities_1202_and_1390_change_sides_between_the_variants(leaky, trained, other):
    names = {"detected": "cuhk03", "labeled": "cuhk03_labeled"}
    source = {"dataset": names[trained], "split_set": f"cuhk03/np_{trained}"}
    assert len(build(protocol([source], names[trained], f"cuhk03/np_{trained}"), leaky).train) == 6
    with pytest.raises(
        UserError, match=rf"the identity of .*/{SIDES[trained][0]}_c\d_\d.png also trains \(1 in all\)"
    ):
        build(protocol([source], names[other], f"cuhk03/np_{other}"), leaky)


def test_r8_overlapping_sets_are_named(manifests):
    warned = build(without_counts("lda_p1"), manifests).metadata["warnings"]
    assert warned == ["cuhk02 and cuhk03 share some identities"]
    sources = [{"dataset": "cuhk02"}, {"dataset": "cuhk03_both", "split_set": "cuhk03/classic_both"}]
    warned = build(protocol(sources, "viper", "viper/rand10_a2b"), manifests).metadata["warnings"]
    assert warned == ["cuhk02 and cuhk03 share some identities"]
