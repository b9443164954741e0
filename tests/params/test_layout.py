"""How the files of params/ are written: nothing twice, no mapping in a base, one formatting."""

import re

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dgreid import params
from dgreid.paths import MATRIX, PARAMS
from dgreid.protocols.config import TargetGroup
from dgreid.schema import read_yaml, validate

GROUPS = (
    *("backbone", "dataset", "image", "matrices", "method", "protocol", "recipe", "start", "tables"),
    "targets",
)
WIDTH = 120


@pytest.fixture
def written(root):
    """The files of the groups, without the generated selection."""
    return sorted({path for group in GROUPS for path in (PARAMS / group).glob("*.yaml")} - {MATRIX})


@pytest.fixture
def bases(written):
    return [path for path in written if path.name.startswith("_")]


def test_bases_hold_no_mapping(bases):
    assert bases
    for path in bases:  # Hydra would add to a mapping of the base what its child says
        assert not [key for key, value in read_yaml(path).items() if isinstance(value, dict)], path


def test_every_base_has_several_children(bases):
    for path in bases:
        group = path.parent.name
        assert sum(path in params.files(group, name) for name in params.names(group)) > 1, path


def test_no_file_repeats_a_value_of_its_base(written):
    for path in written:
        own = read_yaml(path)
        inherited: dict = {}
        for base in own.pop("defaults", [])[:-1]:
            for file in params.files(path.parent.name, base):
                inherited |= read_yaml(file)
        assert not [key for key in own if key in inherited and own[key] == inherited[key]], path


def test_what_is_read_is_what_hydra_composes(root):
    with initialize_config_dir(str(PARAMS.resolve()), version_base="1.3"):
        for group in ("method", "recipe"):
            for name in params.names(group):
                composed = OmegaConf.to_container(compose(f"{group}/{name}"))[group]
                assert composed | {"name": name} == params.read(group, name)


def test_every_mapping_of_a_method_stands_in_its_own_file(root):
    """A word such as method.meta_train_losses.scatter=0 changes a mapping that is written, not a default."""
    from dgreid import methods

    for name in params.names("method"):
        node = params.read("method", name)
        options = methods.module(node["code"]).Options(**node)
        mappings = {key for key, value in options.model_dump().items() if isinstance(value, dict)}
        assert mappings <= read_yaml(PARAMS / "method" / f"{name}.yaml").keys(), name


def test_every_group_of_targets_validates_and_is_used(root):
    used = set()
    for name in params.names("protocol"):
        targets = params.read("protocol", name)["targets"]
        entries = [targets] if isinstance(targets, str) else targets
        used |= {entry for entry in entries if isinstance(entry, str)}
    assert used == set(params.names("targets"))
    for name in used:
        validate(TargetGroup, params.read("targets", name))


def test_lines_are_short_and_files_end_once(written):
    for path in written:
        text = path.read_text()
        assert max(map(len, text.splitlines())) <= WIDTH, path
        assert text.endswith("\n") and not text.endswith("\n\n"), path
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), path


def test_two_spaces_stand_before_a_comment_and_none_inside_braces(written):
    for path in written:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = without_comment(line)
            behind = line[len(code) :]
            assert "#" not in behind or not code or behind.startswith("  #"), f"{path}:{number}"
            assert not re.search(r"\{ | \}|\[ | \]", code), f"{path}:{number}"


def without_comment(line: str) -> str:
    """A line of YAML up to the last character of its content, found by the YAML parser's own tokens."""
    ends = [token.end_mark.column for token in tokens(line) if token.end_mark.line == 0]
    return line[: max(ends, default=0)]


def tokens(line: str):
    try:
        yield from yaml.scan(f"{line}\n")
    except yaml.YAMLError:  # a line of a folded text ends where it ends
        yield from ()
