"""Names that are paths, commands of a shell, formulas or HTML: refused, or shown as what they are."""

import csv
import random
from contextlib import suppress
from html.parser import HTMLParser
from shutil import copy

import pytest
import yaml
from PIL import Image

from attack.harness import OUTSIDE, SAME, SILENT, few_or_many
from attack.project import KEYS, RUN, outside, replica, write

NAMES = (
    *("..", "../evil", "../../evil", "../../workflow", "/tmp/dgreid-evil", "a/b", "a\\b", "~", "~root"),
    *(
        "$(touch evil)",
        "`touch evil`",
        "a;touch evil",
        "a|touch evil",
        "a&touch evil",
        "a>evil",
        "${IFS}evil",
    ),
    *(
        "a b",
        "a@b",
        "a=b",
        "a,b",
        "a%b",
        "a'b",
        'a"b',
        "a\nb",
        "a\tb",
        "a\x1b[31mb",
        "a#b",
        "a*b",
        "a?b",
        "{a}",
    ),
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "=1+1", "@SUM(1)", "-a", "--help", "+a"),
    *(
        "\u202eevil",
        "\u0000",
        "ä",
        "名前",
        "a" * 300,
        "",
        " ",
        ".",
        "...",
        "con",
        "None",
        "null",
        "1e3",
        "_self_",
    ),
    *("{{ 7*7 }}", "${oc.env:HOME}", "%(x)s", "\\input{evil}", "a__b", "a--b", ".hidden", "a.", "x.yaml"),
)
LINES = f"""
embed --run {{}} --images crops --out out/a.parquet
tsne --run {{}}
inspect {{}}
download {{}}
splits import wide --from splits.json --name {{}}
adopt {{}} --from source/wide
plan {{}}
select {{}}
select ../method/{{}}
describe method={{}}
member protocol={{}} dataset={{}}
train method={{}} {KEYS}
""".strip().splitlines()
GROUPS = ("dataset", "method", "protocol", "recipe", "image", "backbone", "matrices", "targets", "tables")


def with_file(folder, group, name):
    """A file of params/ under the name, and the commands that may meet it."""
    source = next(path for path in sorted((folder / "params" / group).glob("[!_]*.yaml")))
    with suppress(OSError, ValueError):  # the system has no such name
        copy(source, folder / "params" / group / f"{name}.yaml")
    keys = {"dataset": "manifest", "protocol": "protocol", "matrices": "select"}
    if group in ("method", "recipe", "image", "backbone"):
        rest = [word for word in f"method=erm {KEYS}".split() if not word.startswith(f"{group}=")]
        yield ["describe", f"{group}={name}", *rest]
    elif group == "matrices":
        yield ["select", name]
    elif group in keys:
        yield [keys[group], f"{group}={name}"]
    yield ["describe", f"{group}={name}"]


def in_selection(folder, group, name):
    """The name in a written selection, in the place that the group names."""
    path = folder / "params/matrix.yaml"
    node = yaml.safe_load(path.read_text())
    run = next(iter(node["runs"]))
    if group == "matrices":
        node["name"] = name
    elif group in ("dataset", "tables"):
        node["datasets"][name] = {"source": name}
    elif group == "targets":
        node["runs"][name] = node["runs"].pop(run)
    else:
        node["runs"][run][group] = name
    write(path, yaml.safe_dump(node))
    yield ["report"]
    yield ["plan"]


def in_file(folder, group, name):
    """The name as `name` of a file, as title, and as name of a target."""
    own = {"matrices": "attacked", "protocol": "attacked", "recipe": "brief", "dataset": "wide"}.get(group)
    path = folder / f"params/{group}/{own}.yaml"
    if own is None:
        path = next(path for path in sorted((folder / "params" / group).glob("[!_]*.yaml")))
    node = yaml.safe_load(path.read_text()) or {}
    if isinstance(node, dict):
        node |= {"name": name} if group != "targets" else {}
        if group == "protocol":
            node["targets"] = [{"name": name, "set": "mini_viper:rand10_a2b", "splits": 2}]
        write(path, yaml.safe_dump(node))
    yield ["select", "attacked"]
    yield ["protocol", "protocol=attacked"] if group == "protocol" else ["describe", f"{group}={path.stem}"]


@pytest.mark.parametrize("place", [with_file, in_selection, in_file])
@few_or_many(4, 40)
def test_a_name_in_params(server, built, tmp_path, tally, place, tries):
    counted, rng = tally(f"names: {place.__name__}"), random.Random(place.__name__)
    cases = [(group, name) for group in GROUPS for name in NAMES]
    room = tmp_path / "room"
    for group, name in rng.sample(cases, tries):
        folder = replica(built, room / "project")
        (room / "workflow").mkdir(exist_ok=True)
        (room / "workflow/mine").write_text("untouched")
        lines = list(place(folder, group, name))
        before = outside(folder)
        for line in lines:
            said = server.call(line, folder)
            outcome = said.outcome or SAME
            if outside(folder) != before or list(room.rglob("evil")):
                outcome = OUTSIDE
            counted.add(outcome, f"{group}: {line}", said)
            if outcome == OUTSIDE:
                break
    counted.close()


@few_or_many(8, 40)
def test_a_name_on_the_command_line(server, built, tmp_path, tally, tries):
    lines = [line.split() for line in LINES]
    counted, rng, room = tally("names: command line"), random.Random(0), tmp_path / "room"
    folder = replica(built, room / "project")
    before = outside(folder)
    for line in rng.choices(lines, k=tries):
        words = [word.replace("{}", rng.choice(NAMES).replace("\0", "")) for word in line]
        said = server.call(words, folder)
        counted.add(OUTSIDE if outside(folder) != before else said.outcome or SAME, words, said)
    counted.close()


class Page(HTMLParser):
    """What a page could run."""

    found = ()

    def handle_starttag(self, tag, attrs):
        self.found += tuple(key for key, _ in attrs if key.startswith("on")) + (
            (tag,) if tag == "script" else ()
        )


@few_or_many(3, 20)
def test_the_name_of_an_image_is_shown_as_it_is(server, built, tmp_path, tally, tries):
    counted, rng = tally("names: images"), random.Random(0)
    folder = replica(built, tmp_path / "project")
    line = f"search --run {RUN} --query crops/0.png --gallery odd --out out/odd"
    for number in range(tries):
        name = rng.choice(
            [name for name in NAMES if len(name) < 200 and "/" not in name and "\0" not in name]
        )
        odd = folder / "odd"
        odd.mkdir(exist_ok=True)
        for path in odd.iterdir():
            path.unlink()
        Image.new("RGB", (32, 64), (number, 9, 9)).save(odd / f"{name}.png", "PNG")
        Image.new("RGB", (32, 64), (9, number, 99)).save(odd / "plain.png", "PNG")
        said = server.call(line, folder)
        outcome = said.outcome
        if outcome is None:
            page = Page()
            page.feed((folder / "out/odd/index.html").read_text())
            with open(folder / "out/odd/ranking.csv", newline="") as file:
                rows = list(csv.DictReader(file))
            formula = any(
                value.startswith(("=", "+", "-", "@")) for row in rows for value in (row["gallery"],)
            )
            outcome = SILENT if page.found or formula or len(rows) not in (1, 2) else SAME
        counted.add(outcome, repr(name), said)
    counted.close()
