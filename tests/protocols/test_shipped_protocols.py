"""The shipped protocols: their counts are sums of published ones; each assembles from data so laid out."""

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

# people and images of the training parts, which the data sets' own files do not state
PARTS = {  # facts of the released split files; M3L Table 2 for the classic pool
    ("cuhk03", "cuhk03/np_detected"): (767, 7365),
    ("cuhk03_labeled", "cuhk03/np_labeled"): (767, 7368),
    ("cuhk03_both", "cuhk03/classic_both"): (1367, 26263),
}
TARGETS = {  # query, gallery
    "market1501/official": (3368, 15913), "dukemtmc/official": (2228, 17661),
    "msmt17/official": (11659, 82161), "cuhk03/np_detected": (1400, 5332), "cuhk03/np_labeled": (1400, 5328),
    "viper/rand10_a2b": (316, 316), "prid/rand10": (100, 649), "grid/official10": (125, 900),
    "ilids/rand10": (60, 60),
}  # fmt: skip
PAPERS = {  # printed, or summed in the papers' own way: ids, images, domains
    "metabin_dg": (18530, 121765, 5), "metabin_m2d": (751, 12936, 6), "metabin_d2m": (702, 16522, 8),
    "supervised_market": (751, 12936, 6), "m3l_market": (3110, 75406, 3), "m3l_duke": (3159, 71820, 3),
    "m3l_cuhk03": (2494, 62079, 3), "m3l_msmt17": (2820, 55721, 3), "m3l_np_market": (2510, 56508, 3),
    "m3l_np_duke": (2559, 52922, 3), "m3l_np_cuhk03": (2494, 62079, 3), "m3l_np_msmt17": (2220, 36823, 3),
    "m3l_single_ms": (4101, 126441, 1), "m3l_single_d": (702, 16522, 1),
    "lda_p1": (16718, 85354, 4), "lda_p1_duke": (18530, 121765, 5), "lda_p2_cuhk03": (13726, 80131, 3),
    "lda_p2_msmt17": (13452, 54875, 3), "lda_p2_market": (13742, 74560, 3),
    "lda_p3_cuhk03": (17536, 190434, 3), "lda_p3_msmt17": (14902, 78090, 3),
    "lda_p3_market": (17502, 175112, 3),
}  # fmt: skip
REMEMBERED = {"lda_p2_cuhk03_noval": 77758, "lda_p2_market_noval": 72187}  # images, with MSMT17's 30,248
OURS = {"miniature", "miniature_single", "open_small"}  # counted in test_protocols.py and by being run


def published() -> list[str]:
    return [name for name in choices("protocol") if not name.startswith("mini") and name not in OURS]


def part(dataset: str, split_set: str | None) -> tuple[int, int]:
    """People and images that a source contributes, from the counts its own file enforces."""
    expect = load_dataset(dataset).expect
    if split_set == "msmt17/official":
        return expect["ids"] - expect["query_ids"], load_dataset(dataset).recalled["train_images"]
    if split_set is None:
        return expect["ids"], expect.get("persons", expect["images"])
    if (dataset, split_set) in PARTS:
        return PARTS[dataset, split_set]
    if split_set == "msmt17/official_with_val":
        searched = expect["query_images"] + expect["gallery_images"]
        return expect["ids"] - expect["query_ids"], expect["images"] - searched
    return expect["train_ids"], expect["train_images"]


def test_every_table_of_the_papers_is_there(root):
    assert {name.split("_")[0] for name in published()} == {"metabin", "supervised", "m3l", "lda"}
    assert set(PAPERS) <= set(published())


def test_the_counts_are_the_papers(root):
    found = {name: tuple(load_protocol(name).expect.values()) for name in published()}
    assert {name: found[name] for name in PAPERS} == PAPERS
    assert list(load_protocol("m3l_market").expect) == ["ids", "images", "domains"]


def test_the_counts_are_the_sums_of_their_sources(root):
    for name in published():
        protocol = load_protocol(name)
        parts = [part(source.dataset, source.split_set) for source in protocol.sources]
        domains = [
            load_dataset(source.dataset).expect["cameras"] if source.domain_by == "camera" else 1
            for source in protocol.sources
        ]
        images = sum(n for _, n in parts)
        assert REMEMBERED.get(name, images) == images, name
        assert protocol.expect == {
            "ids": sum(ids for ids, _ in parts), "domains": sum(domains),
        } | ({} if name in REMEMBERED else {"images": images}), name  # fmt: skip


def test_the_drawn_leave_one_out_counts_add_up(root):
    protocol = load_protocol("miniature_m3l")
    drawn = [load_dataset(source.dataset).expect for source in protocol.sources]
    assert sum(each.get("trainval_images", each.get("train_images")) for each in drawn) == 800
    assert protocol.expect["images"] == 800
    (target,), searched = protocol.targets, load_dataset(protocol.targets[0].dataset).expect
    assert target.expect == {role: searched[f"{role}_images"] for role in ("query", "gallery")}


def test_targets_have_their_standard_counts(root):
    for name in published():
        for target in load_protocol(name).targets:
            assert tuple(target.expect.values()) == TARGETS[target.split_set], (name, target.name)


def test_target_counts_are_those_of_the_data_sets(root):
    market, duke, msmt = (load_dataset(name).expect for name in ("market1501", "dukemtmc", "msmt17"))
    assert TARGETS["market1501/official"] == (
        market["query_images"],
        market["gallery_images"] - market["junk"],
    )
    assert TARGETS["dukemtmc/official"] == (duke["query_images"], duke["gallery_images"])
    assert TARGETS["msmt17/official"] == (msmt["query_images"], msmt["gallery_images"])
    for variant, dataset in (("detected", "cuhk03"), ("labeled", "cuhk03_labeled")):
        _, train = PARTS[dataset, f"cuhk03/np_{variant}"]
        assert sum(TARGETS[f"cuhk03/np_{variant}"]) + train == load_dataset(dataset).expect["images"]
    both = [load_dataset(name).expect["images"] for name in ("cuhk03", "cuhk03_labeled", "cuhk03_both")]
    assert both[0] + both[1] == both[2]


def test_what_papers_leave_open_is_stated(root):
    for name in published():
        protocol = load_protocol(name)
        used = {piece.dataset for piece in (*protocol.sources, *protocol.targets)}
        said = " ".join(protocol.choices)
        assert not {"msmt17", "msmt17_v1"} & used or "msmt17_version" in said, name
        assert not any(dataset.startswith("cuhk03") for dataset in used) or "cuhk03" in said, name
        assert not any(s.split_set == "msmt17/official_with_val" for s in protocol.sources) or "val" in said


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
    assert set.union(*made.values()) >= set(TARGETS)
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
        assert protocol.kind == "full"
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
def test_r7_all_images_of_a_set_and_its_own_test_people(manifests, source, target):
    with pytest.raises(UserError, match=r"the person of .* also trains"):
        build(protocol([source], *target), manifests)


def test_the_two_versions_of_msmt17_keep_people_apart_in_their_training_parts(manifests):
    source = {"dataset": "msmt17_v1", "split_set": "msmt17/official_with_val"}
    assert build(protocol([source], "msmt17", "msmt17/official"), manifests).kind == "full"


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
        UserError, match=rf"the person of .*/{SIDES[trained][0]}_c\d_\d.png also trains \(1 in all\)"
    ):
        build(protocol([source], names[other], f"cuhk03/np_{other}"), leaky)


def test_r8_overlapping_sets_are_named(manifests):
    warned = build(without_counts("lda_p1"), manifests).metadata["warnings"]
    assert warned == ["cuhk02 and cuhk03 show some of the same people"]
    sources = [{"dataset": "cuhk02"}, {"dataset": "cuhk03_both", "split_set": "cuhk03/classic_both"}]
    warned = build(protocol(sources, "viper", "viper/rand10_a2b"), manifests).metadata["warnings"]
    assert warned == ["cuhk02 and cuhk03 show some of the same people"]
