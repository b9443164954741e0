"""Command lines nobody meant: refused, or carried out with what they say."""

import os
import random

from attack.harness import OUTSIDE, SAME, few_or_many
from attack.project import KEYS, RUN, outside, replica

WORDS = """
0 -1 1 99999999999999999999999 1e12 1e400 nan inf -inf 0.5 yes true null ä [1,2] [ ' = == a=b=c $HOME * ~ . ..
/ /dev/null /dev/zero pipe crops crops/0.png loop params nowhere ${oc.env:HOME} ??? -h --help -- ---
-x --seed seed=1
"""
VALUES = (*WORDS.split(), "", " ", "{a: 1}", '"', "\\", "x" * 5000, "\x1b[31m", "a\nb")
LINES = """
train method=erm {keys} seed={}
train method=erm {keys} recipe.epochs={}
train {} {}
train method=erm {keys} method.margin={}
train method=erm {keys} recipe.momentum={} recipe.epochs=1
train method=erm {keys} recipe.images_per_identity={}
train method=erm {keys} image.train={}
train method=erm {keys} recipe.weights={}
train method=erm {keys} {}=1
train method={} backbone={}
evaluate method=erm {keys} seed={}
evaluate {}
report {}
plan {}
plan --measure {}
embed --run {run} --images {} --out out/a.parquet
embed --run {run} --images crops --out out/{}
embed --run {} --images {} --out out/a.parquet
search --run {run} --query {} --gallery {} --out out/a
search --run {run} --query crops --gallery embedded.parquet --out out/b --top {}
export --run {} --out out/c
tsne --run {} --seed {}
tsne --run {run} --seed {}
tsne --run {run} --perplexity {}
tsne --run {run} --target {}
adopt wide --from {}
adopt {} --from source/wide
adopt wide --copy --from source/wide --to out/{}
splits import wide --from {} --name odd
splits {} wide --from splits.json --name odd
splits import {} --from splits.json --name odd
select attacked seeds={}
select attacked seeds=[{}]
select attacked methods={}
select attacked {}={}
select {}
describe {}
describe method={}
describe {}={}
inspect {}
download {}
protocols {}
{} {}
{}
manifest dataset={}
manifest {}
protocol protocol={}
member protocol={} dataset={}
synthesize dataset={}
synthesize {}
photographs {}
--{}
{} --help
""".strip().splitlines()


@few_or_many(20, 220)
def test_a_command_line_nobody_meant(server, built, tmp_path, tally, tries):
    counted, rng = tally("command lines"), random.Random(0)
    folder = replica(built, tmp_path / "room/project")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    before = outside(folder)
    for number in range(tries):
        line = LINES[number % len(LINES)].replace("{keys}", KEYS).replace("{run}", RUN)
        words = [fill(word, rng) for word in line.split()]
        said = server.call(words, folder)
        counted.add(OUTSIDE if outside(folder) != before else said.outcome or SAME, words, said)
        before = outside(folder)
    counted.close()


def fill(word, rng):
    """The word with odd values in its gaps."""
    while "{}" in word:
        word = word.replace("{}", rng.choice(VALUES), 1)
    return word
