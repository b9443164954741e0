"""YAML and JSON from people and strangers: refused, or every value taken is the one that stands there."""

import json
import random

import pytest
import yaml

from attack.harness import SAME, SILENT, TAKEN, few_or_many
from attack.project import KEYS, replica, write
from helpers.damage import damaged

LINE = f"method=erm {KEYS}"
FILES = {
    "method": "params/method/erm.yaml",
    "recipe": "params/recipe/brief.yaml",
    "image": "params/image/64x32.yaml",
    "backbone": "params/backbone/resnet_tiny.yaml",
    "protocol": "params/protocol/attacked.yaml",
}
VALUES = (
    *(0, -1, 1, 2, 10**3, 10**12, 10**30, -(10**12), 0.0, -0.5, 0.5, 1e-30, 1e30, 1e308),
    *(float("inf"), float("nan"), True, False, None, "", " ", "yes", "5", "0.5", "1e3", "null", "none"),
    *("x" * 10_000, "ä", "a\nb", "\x1b[31m", "${oc.env:HOME}", "${method.margin}", "???", "<b>", "=1+1"),
    *("../../x", "2020-01-01", "0x10", "1_000", "010", [], [1], [[1]], ["a", 1], [None], {}, {"a": 1}),
    *({"a": {"b": []}}, [1] * 10_000, {"operation": "flip"}),
)
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
TEXTS = (
    *(LAUGHS, "a: &a [*a]\n", "a: &a {b: *a}\n", "[" * 3000, "{a: " * 3000, "- " * 3000, "\0", "\t a: 1\n"),
    *("a: !!python/object/apply:os.system [x]\n", "", "\ufeff", "---\n---\n", "--- a\n--- b\n", "- a\n"),
    *("%YAML 9.9\n---\na: 1\n", "? [a]\n: b\n", "1: 2\n", "a: |\n  x\n b: 1\n", "a: 'x\n", "x\n"),
    *("defaults: [x, _self_]\n", "defaults: _self_\n", "defaults: []\n", "null\n", "# nothing\n"),
    *("defaults: [_base, _base, _self_]\n", "<<: *x\n", "<<: {a: 1}\n", "a: ${b}\nb: ${a}\n", "a: 1\na: 2\n"),
)


class Quoted(yaml.SafeDumper):
    """Writes texts in quotes: PyYAML and Hydra differ in which bare words are numbers."""


Quoted.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def numbers(node):
    """Numbers as floats, tuples as lists: how settings may differ from what a file says."""
    if isinstance(node, dict):
        return {str(key): numbers(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [numbers(each) for each in node]
    return float(node) if isinstance(node, int) and not isinstance(node, bool) else node


@pytest.mark.parametrize("group", FILES)
@few_or_many(12, 50)
def test_an_odd_value_is_refused_or_is_the_setting(server, built, tmp_path, tally, group, tries):
    counted, rng = tally(f"documents: values of a {group}"), random.Random(group)
    folder = replica(built, tmp_path / "project")
    path = folder / FILES[group]
    plain = json.loads(server.call(LINE, folder, "settings").out)[group]
    stated = yaml.safe_load(path.read_text())
    keys = [key for key in plain if key not in ("name", "code")]
    for _ in range(tries):
        key, value = rng.choice(keys), rng.choice(VALUES)
        write(path, yaml.dump({**stated, key: value}, Dumper=Quoted))
        said = server.call(LINE, folder, "settings")
        outcome = said.outcome
        if outcome is None:
            found = json.loads(said.out)[group][key]
            outcome = SAME if repr(numbers(found)) == repr(numbers(value)) else SILENT
            if outcome == SILENT and isinstance(found, dict | list | bool):
                outcome = TAKEN  # a section's fields with their defaults, its short notation, another word
        counted.add(outcome, f"{key}: {value!r:.60}", said)
    counted.close()


@pytest.mark.parametrize("group", FILES)
@few_or_many(6, 40)
def test_a_file_that_is_no_file_of_settings(server, built, tmp_path, tally, group, tries):
    counted, rng = tally(f"documents: text of a {group}"), random.Random(group)
    folder = replica(built, tmp_path / "project")
    path = folder / FILES[group]
    content = path.read_bytes()
    texts = [text.encode() for text in TEXTS] + [content + text.encode() for text in TEXTS]
    texts += [bad for _, bad in damaged(content, 20)]
    for text in rng.sample(texts, min(tries, len(texts))):
        write(path, text)
        said = server.call(LINE, folder, "settings")
        counted.add(said.outcome or TAKEN, text[:80], said)
    counted.close()


def mutants(node, rng):
    """The splits with one thing changed, somewhere."""
    copy = json.loads(json.dumps(node))
    place = copy
    for _ in range(rng.randint(0, 4)):
        if not isinstance(place, list | dict) or not place:
            break
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        change = rng.random()
        if change < 0.3 or not isinstance(place[key], list | dict):
            place[key] = rng.choice([v for v in VALUES if not (isinstance(v, float) and v != v)])
            break
        if change < 0.4:
            del place[key]
            break
        if change < 0.5 and isinstance(place, list):
            place.append(place[key])
            break
        place = place[key]
    return json.dumps(copy)


@few_or_many(12, 80)
def test_split_lists_from_others(server, built, tmp_path, tally, tries):
    counted, rng = tally("documents: split lists"), random.Random(0)
    folder = replica(built, tmp_path / "project")
    original = json.loads((folder / "splits.json").read_text())
    texts = [
        "[" * 100_000,
        '{"a":' * 100_000,
        "\ufeff" + json.dumps(original),
        "nul",
        "1e999",
        "[NaN]",
        "[]",
        "{}",
    ]
    for _ in range(tries):
        text = rng.choice(texts) if rng.random() < 0.1 else mutants(original, rng)
        write(folder / "splits.json", text)
        (folder / "data/splits/wide-odd.json").unlink(missing_ok=True)
        said = server.call("splits import wide --from splits.json --name odd", folder)
        outcome = said.outcome
        if outcome is None:
            made = json.loads((folder / "data/splits/wide-odd.json").read_text())
            outcome = SAME if images(made["splits"]) == images(json.loads(text.lstrip("\ufeff"))) else SILENT
        counted.add(outcome, text[:200], said)
    counted.close()


def images(splits):
    """The images of each role of each split."""
    roles = ("train", "query", "gallery")
    return [
        {role: [row[0] if isinstance(row, list) else row for row in split.get(role) or []] for role in roles}
        for split in splits
    ]
