"""Compare runs with the committed ones of the same name: equal, within what seeds scatter, or not.

A run is *equal* if every score of every target and split is, in all digits. In float32 and on a GPU the last
bits of sums differ from machine to machine, and within some hundred iterations another network results.

Whether it is another one of the same kind is decided by the averages over the targets (Rank-1 and mAP).
Suppose that a machine with other last bits trains as another seed would. Then the difference d of two runs
has the variance 2 s^2, with s the deviation between seeds, and the run is *within* if both |d| are at most

    t(1 - .05/4) sqrt(2) s,

which at least 95 % of such runs are (Student's t; .05 is shared by two measures and two tails). Three seeds
alone give s only within a factor of 0.5 to 6.3, so the committed methods of the same protocol, backbone,
recipe and image are pooled: s^2 is the mean square of a seed's score minus its method's mean, with one degree
of freedom less for each method. This supposes that trainings scatter normally, those of all methods alike.

It is a weak test: *within* says that a difference is no larger than chance makes it, not that there is none.
Some of many runs are outside by chance; `expected` says how many, and only more of them count against the
selection. A run made from other settings or data than the committed one is not comparable, whatever it
scores.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from scipy import stats

from dgreid import provenance
from dgreid.errors import UserError
from dgreid.paths import METRICS
from dgreid.reporting.differences import MEASURES
from dgreid.runs import recorded
from dgreid.runs.metrics import parse
from dgreid.runs.recorded import plural
from dgreid.sheets import signed

log = logging.getLogger(__name__)

LEVEL = 0.95  # of runs that differ by chance, the share that is within
INPUTS = {"configuration": "settings", "training_rows": "training data", "searched_rows": "test data"}
EQUAL, WITHIN, OTHER = 0, 3, 1  # exit status of `dgreid verify`

WORDS = {
    "within": "within what seeds scatter",
    "outside": "outside",
    "other inputs": "made from other settings or data",
    "new": "without committed results",
}

Verdict = Literal["equal", "within", "outside", "other inputs", "new"]
Limits = Mapping[str, float]  # by measure, percentage points; empty if no method has two committed seeds


class Committed(NamedTuple):
    """The metrics of a commit."""

    commit: str  # short hash
    metrics: Mapping[str, Mapping]  # by run


NONE: Limits = MappingProxyType({})


class Agreement(NamedTuple):
    """How a run agrees with the committed one of its name."""

    run: str
    verdict: Verdict
    differences: Mapping[str, float] = NONE  # of the averages, here minus committed, percentage points
    limits: Limits = NONE
    inputs: tuple[str, ...] = ()  # what the two were made from that differs
    evaluated: bool = True  # false: the file is the committed one, byte for byte

    @property
    def sentence(self) -> str:
        """What a reader needs to know, without a full stop."""
        if self.verdict == "new":
            return "has no committed results"
        if self.verdict == "equal":
            return "equal in all digits" + ("" if self.evaluated else " (the committed file itself)")
        if self.verdict == "other inputs":
            return f"made from other {' and '.join(self.inputs)} than the committed run, so not comparable"
        moved = _points(self.differences, signed)
        if not self.limits:
            return f"differs by {moved}; no method has two committed seeds, so its scatter is unknown"
        chance = _points(self.limits, "{:.1f}".format)
        if self.verdict == "within":
            return f"differs by {moved}, within what seeds scatter ({chance})"
        return f"differs by {moved}, more than seeds scatter ({chance})"


def committed(revision: str = "HEAD") -> Committed:
    """Read the committed metrics.

    Raises:
        UserError: there is no git or no such commit, or it has no metrics, or damaged ones.
    """
    found = provenance.committed(revision, METRICS)
    if found is None:
        raise UserError(
            f"there is no commit {revision} here to compare with: run this in a git clone of the project, or "
            "name one by --against."
        )
    commit, files = found
    if not any(name.endswith(".json") for name in files):
        raise UserError(
            f"commit {commit} holds no {METRICS}/*.json: name one that does by --against, or commit yours."
        )
    remedy = "name another commit by --against"
    metrics = {
        name.removesuffix(".json"): parse(text, f"{commit}:{METRICS}/{name}", remedy)
        for name, text in files.items()
        if name.endswith(".json")
    }
    return Committed(commit, metrics)


def with_the_last_commit(metrics: Mapping[str, Mapping]) -> list[Agreement]:
    """Compare runs, by name, with those of the last commit; empty if it has none of them that can be read."""
    try:
        found = compare(metrics, committed().metrics)
    except UserError as error:
        log.info("the page does not compare with committed results: %s", error)
        return []
    return found if any(each.verdict != "new" for each in found) else []


def compare(metrics: Mapping[str, Mapping], earlier: Mapping[str, Mapping]) -> list[Agreement]:
    """Compare runs with earlier ones of the same name, in the order of `metrics`.

    Args:
        metrics: by run.
        earlier: by run; all of them tell how much seeds scatter.
    """
    scatter = limits(earlier.values())
    return [_agreement(run, earlier.get(name), scatter) for name, run in metrics.items()]


def _agreement(run: Mapping, other: Mapping | None, scatter: Mapping[tuple, Limits]) -> Agreement:
    name = run["run"]
    if other is None:
        return Agreement(name, "new")
    evaluated = run["cost"] != other["cost"]
    if all(run[part] == other[part] for part in ("targets", "average")):
        return Agreement(name, "equal", evaluated=evaluated)
    mine, theirs = run.get("made_from", {}), other.get("made_from", {})
    shared = mine.keys() & theirs.keys()
    inputs = tuple(words for key, words in INPUTS.items() if key in shared and mine[key] != theirs[key])
    moved = {measure: run["average"][measure] - other["average"][measure] for measure in MEASURES}
    allowed = scatter.get(_pool(other), NONE)
    if inputs:
        return Agreement(name, "other inputs", moved, allowed, inputs)
    within = bool(allowed) and all(abs(moved[measure]) <= allowed[measure] for measure in MEASURES)
    return Agreement(name, "within" if within else "outside", moved, allowed)


def limits(runs: Iterable[Mapping]) -> dict[tuple, Limits]:
    """Compute how far two runs of one method differ by chance, for each kind of runs that are pooled.

    A kind whose methods have one seed each is left out: its scatter is unknown.
    """
    pools: dict[tuple, list[Mapping]] = {}
    for run in runs:
        pools.setdefault(_pool(run), []).append(run)
    groups = {pool: list(recorded.grouped(mine).values()) for pool, mine in pools.items()}
    return {pool: _limits(mine) for pool, mine in groups.items() if any(len(group) > 1 for group in mine)}


def _limits(groups: Sequence[Sequence[Mapping]]) -> Limits:
    """Compute the limits from groups of runs that differ only in their seed."""
    freedom = sum(len(group) - 1 for group in groups)
    share = (1 - LEVEL) / len(MEASURES)  # of differences beyond the limit of one measure
    factor = float(stats.t.ppf(1 - share / 2, freedom)) * 2**0.5
    return {
        measure: factor * (sum(_squares(group, measure) for group in groups) / freedom) ** 0.5
        for measure in MEASURES
    }


def _squares(group: Sequence[Mapping], measure: str) -> float:
    scores = [run["average"][measure] for run in group]
    mean = sum(scores) / len(scores)
    return sum((score - mean) ** 2 for score in scores)


def _pool(run: Mapping) -> tuple:
    return run["data"], run["protocol"], *(run[key] for key in recorded.SETTINGS)


def expected(count: int) -> int:
    """Return how many of so many runs may be outside by chance: more are so in one selection of twenty."""
    return int(stats.binom.ppf(LEVEL, count, 1 - LEVEL))


def status(agreements: Sequence[Agreement]) -> int:
    """Return 0 if all runs are equal, 3 if no more are outside than chance explains, else 1.

    Runs that have no committed results do not count, unless there are no others: then it is 1.
    """
    known = [each for each in agreements if each.verdict != "new"]
    if known and all(each.verdict == "equal" for each in known):
        return EQUAL
    counts = _counts(known)
    comparable = (
        known and all(each.limits for each in known if each.differences) and not counts["other inputs"]
    )
    return WITHIN if comparable and counts["outside"] <= expected(len(known)) else OTHER


def _counts(agreements: Iterable[Agreement]) -> dict[Verdict, int]:
    verdicts = [each.verdict for each in agreements]
    return {verdict: verdicts.count(verdict) for verdict in ("equal", *WORDS)}


def summary(agreements: Sequence[Agreement], where: str) -> str:
    """Say in a few sentences how many runs agree with the committed ones, and what that means.

    Args:
        agreements: of `compare`.
        where: names the commit.
    """
    counts, count = _counts(agreements), len(agreements)
    first = f"Equal to the results of {where} in all digits: {counts['equal']} of {plural(count, 'run')}"
    parts = [f"{counts[verdict]} {words}" for verdict, words in WORDS.items() if counts[verdict]]
    sentences = ["; ".join([first, *parts]) + "."]
    if same := sum(not each.evaluated for each in agreements):
        which = "Their files are" if same == counts["equal"] else f"{same} of their files are"
        sentences.append(f"{which} the committed ones themselves: they were not evaluated here again.")
    if counts["outside"]:
        known = count - counts["new"]
        sentences.append(
            f"Of {plural(known, 'run')} that differ by chance, up to {expected(known)} are outside."
        )
    return " ".join(sentences)


def lines(agreements: Sequence[Agreement], commit: str) -> str:
    """Write a line per run, and the summary."""
    said = [f"{each.run}: {each.sentence}" for each in agreements]
    return "\n".join([*said, summary(agreements, f"commit {commit}")])


def to_json(agreements: Sequence[Agreement], commit: str) -> str:
    """Write the same as JSON: commit, status, summary and, by run, verdict, differences, limits, sentence."""
    runs = {
        each.run: {
            "verdict": each.verdict,
            "differences": {name: round(number, 4) for name, number in each.differences.items()},
            "limits": {name: round(number, 4) for name, number in each.limits.items()},
            "sentence": each.sentence,
        }
        for each in agreements
    }
    node = {
        "commit": commit,
        "status": status(agreements),
        "summary": summary(agreements, f"commit {commit}"),
        "runs": runs,
    }
    return json.dumps(node, indent=2)


def _points(numbers: Mapping[str, float], write) -> str:
    return " and ".join(f"{write(number)} points of {MEASURES[name]}" for name, number in numbers.items())
