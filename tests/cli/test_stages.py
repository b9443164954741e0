import shutil

from dgreid.cli import main as cli


def test_manifest_and_protocol_say_what_they_made(crops, caplog):
    with caplog.at_level("INFO"):
        for word in ("adopt wide --from source/wide", "manifest dataset=wide", "protocol protocol=alone"):
            assert cli.main(word.split()) == 0
    assert "data/manifests/wide: 32 images, 8 ids, 2 cameras (miniature data)" in caplog.messages
    assert (
        "data/protocols/alone: 8 ids, 32 images, 1 domains; targets and splits: none (miniature data)"
        in caplog.messages
    )


def test_a_set_that_records_no_camera_has_not_zero_of_them(crops, caplog):
    (crops / "params/dataset/hall.yaml").write_text("{title: Hall, parser: ilids, access: drawn}")
    (crops / "hall/Persons").mkdir(parents=True)
    for number, picture in enumerate(sorted((crops / "source/wide").rglob("*.jpg"))):
        shutil.copy(picture, crops / f"hall/Persons/{number // 4 + 1:04d}{number % 4 + 1:03d}.jpg")
    with caplog.at_level("INFO"):
        for words in ("adopt hall --from hall", "manifest dataset=hall"):
            assert cli.main(words.split()) == 0
    assert "data/manifests/hall: 32 images, 8 ids, cameras unknown (miniature data)" in caplog.messages


def test_stages_that_succeed_are_noted_in_the_execution_log(crops):
    assert cli.main(["manifest", "dataset=wide"]) == 1  # not adopted yet
    assert not (crops / "logs").exists()
    for words in ("adopt wide --from source/wide", "manifest dataset=wide", "protocol protocol=alone"):
        assert cli.main(words.split()) == 0
    lines = [line.split("\t") for line in (crops / "logs/executions.tsv").read_text().splitlines()]
    assert [line[:2] for line in lines] == [["manifest", "dataset=wide"], ["protocol", "protocol=alone"]]
    assert all(float(seconds) >= 0 and int(process) > 0 for _, _, seconds, process in lines)
