"""Plan a selection: which runs still have to be trained, which data are missing, iterations, images, hours.

Nothing is run. A plan reads params/, data/ and reports/metrics, and speeds from `dgreid.selection.costs`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from dgreid.errors import UserError
from dgreid.methods.base import Method, Task
from dgreid.paths import CHECKPOINTS, METRICS, PROTOCOLS, RUNS, TRAIN
from dgreid.protocols import read_training
from dgreid.protocols.config import load_protocol
from dgreid.protocols.listing import availability, table
from dgreid.runs.config import RunConfig
from dgreid.runs.folder import read_facts
from dgreid.runs.recorded import plural
from dgreid.runs.run import build, decisive
from dgreid.runs.training import task_of
from dgreid.sealed import Unreadable
from dgreid.selection import costs
from dgreid.selection.matrix import config_of

COLUMNS = ("run", "status", "data", "iterations", "images", "images/s", "from", "hours")
TRAINED = ("done", "trained")
ASKED = 1000  # iterations whose batches are counted one by one
RIGHT = ("iterations", "images", "images/s", "hours")
LEGEND = """\
done: evaluated, and its settings are unchanged (whether its code changed, `dvc status` says);
trained: still has to be evaluated; started: has a checkpoint; outdated: trained with other settings;
damaged: its run.yaml cannot be read, train it again.
iterations, images: of the whole training; ~ marks estimates from the protocol's expected counts, which become
exact once `dgreid protocol` has made it. hours: training alone, on one {device} ({machine}) with {threads}.
from: the source of images/s: measured on this machine, data/runs (runs) or reports/metrics (reports); on a
CPU the last may be another machine's speed."""


class Budget(NamedTuple):
    """The size of a run's training; numbers are None if unknown before the protocol is made."""

    domains: int | None
    iterations: int | None
    images: int | None
    exact: bool  # False: estimated from expected counts


class Need(NamedTuple):
    """One line of a plan."""

    run: str
    protocol: str
    status: str  # done | trained | started | outdated | damaged | to do
    data: str  # ready ..., or what is missing
    budget: Budget
    speed: costs.Speed | None

    @property
    def is_trained(self) -> bool:
        """Whether the run needs no training."""
        return self.status in TRAINED

    @property
    def hours(self) -> float | None:
        """Hours of a complete training; None if speed or budget are unknown."""
        if self.speed is None or self.budget.images is None:
            return None
        return self.budget.images / self.speed.images_per_second / 3600


def plan(matrix: Mapping[str, Any], measure: bool = False) -> str:
    """Show the runs of a selection in a table, with their totals and a one-sentence summary.

    Args:
        matrix: as in params/matrix.yaml; see `dgreid.selection.matrix.compose`.
        measure: time a few iterations for every speed that is unknown on this machine, and store it.

    Raises:
        UserError: a run cannot be trained at all, such as a method with too few domains.
    """
    needs = []
    data, budgets, speeds = {}, {}, {}  # each computed once for all runs that share it
    for name, choice in matrix["runs"].items():
        run = config_of(choice)
        status, protocol = status_of(run), run.protocol.name
        if protocol not in data:
            data[protocol] = availability(run.protocol)
        alike = run.model_copy(update={"seed": 0}).model_dump_json()
        if alike not in budgets:
            budgets[alike] = budget_of(run)
        key = run.method.name, run.backbone.name, run.image.name
        if key not in speeds:
            speeds[key] = costs.speed(run)
        wanted = measure and status not in TRAINED and _is_worth_measuring(speeds[key], budgets[alike])
        if wanted:
            speeds[key] = costs.measure(run, budgets[alike].domains)
        needs.append([name, protocol, status, data[protocol], budgets[alike], key])
    return render([Need(*need, speeds[key]) for *need, key in needs])


def _is_worth_measuring(speed: costs.Speed | None, budget: Budget) -> bool:
    """Whether the number of domains is known, but no speed, or only that of a report's CPU."""
    device, _ = costs.machine()
    return bool(budget.domains) and (speed is None or (device == "cpu" and speed.source == "reports"))


def status_of(run: RunConfig) -> str:
    """Return done, trained, started, outdated, damaged or to do, judged by the run's files."""
    folder = RUNS / run.run
    if (folder / "run.yaml").is_file():
        try:
            trained = read_facts(folder)["config"]
        except Unreadable:
            return "unreadable"
        except UserError:
            return "damaged"
        if decisive(run, trained) != decisive(run):
            return "outdated"
    if (METRICS / f"{run.run}.json").is_file():
        return "done"
    if (folder / "model.safetensors").is_file():
        return "trained"
    return "started" if (CHECKPOINTS / run.run / "last.pt").is_file() else "to do"


def budget_of(run: RunConfig) -> Budget:
    """Count iterations and images of a training: from its protocol's rows, else from expected counts."""
    folder = PROTOCOLS / run.protocol.name
    if (folder / TRAIN).is_file():
        task, exact = task_of(read_training(folder)[0], run), True
    else:
        task, exact = expected_training(run), run.recipe.iterations_per_epoch is not None
    if task is None:
        return Budget(None, None, None, exact=False)
    network = build(run.method, run.backbone, run.recipe, task, weights="none")
    sizes = costs.batch_sizes(costs.crowd(run, task.domains), run, network)
    images, counted = _images(network, sizes, task.iterations)
    return Budget(task.domains, task.iterations, images, exact and counted)


def _images(network: Method, sizes: Mapping[str, int], iterations: int) -> tuple[int, bool]:
    """Count the images of a training, and say whether the number is exact.

    Of a long training only some iterations are asked how many batches they take: the first `ASKED`, and as
    many spread evenly over the others. If these take different numbers, the rest is an estimate.
    """

    def shown(iteration: int) -> int:
        return sum(sizes[name] * count for name, count in network.draws(iteration).items())

    first = sum(map(shown, range(min(ASKED, iterations))))
    left = iterations - ASKED
    if left <= 0:
        return first, True
    some = [shown(ASKED + number * left // ASKED) for number in range(ASKED)]
    return first + round(left * sum(some) / ASKED), len(set(some)) == 1


def expected_training(run: RunConfig) -> Task | None:
    """Estimate a training set from the counts a protocol expects; None if it does not state enough.

    One pass of the naive identity sampler takes every identity's images in chunks of K and fills up the last
    one: on average (K - 1) / 2 more images per identity if all remainders are equally frequent. For MetaBIN's
    sources this gives 1868 iterations per epoch; the true number is 1849.
    """
    expect, recipe = load_protocol(run.protocol.name).expect, run.recipe
    by_dataset = all(source.domain_by == "dataset" for source in run.protocol.sources)
    domains = expect.get("domains") or (len(run.protocol.sources) if by_dataset else None)
    if domains is None or "ids" not in expect:
        return None
    per_epoch, each = recipe.iterations_per_epoch, recipe.images_per_identity
    if per_epoch is None:
        if "images" not in expect:
            return None
        batch = recipe.batch_size or domains * recipe.identities_per_domain * each
        total = round(expect["images"] + expect["ids"] * (each - 1) / 2)
        per_epoch = max(1, total // batch - 1)
    return Task(
        expect["ids"],
        domains,
        recipe.epochs * per_epoch,
        per_epoch,
        torch.zeros(domains, expect["ids"], dtype=torch.bool),
        (run.image.height, run.image.width),
    )


def render(needs: Sequence[Need]) -> str:
    """Render the table, its totals, missing data, the legend and the summary."""
    remaining = [need for need in needs if not need.is_trained]
    rows = [_cells(need) for need in needs]
    exact = all(need.budget.exact for need in remaining)
    total = (
        f"still to train: {len(remaining)}",
        *("", ""),
        _number(sum(need.budget.iterations or 0 for need in remaining), exact),
        _number(sum(need.budget.images or 0 for need in remaining), exact),
        *("", ""),
        _total_hours(remaining),
    )
    widths = {
        name: max(len(name), *(len(row[place]) for row in (*rows, total)))
        for place, name in enumerate(COLUMNS)
    }
    lines = table(widths, rows, RIGHT)
    lines += [lines[1], *table(widths, [total], RIGHT)[2:], ""]
    lines += [f"{name}: {data}." for name, data in _lacking(remaining).items()]
    device, processor = costs.machine()
    legend = LEGEND.format(device=device, machine=processor, threads=plural(costs.threads(), "thread"))
    return "\n".join([*lines, legend, "", sentence(needs)])


def _cells(need: Need) -> tuple[str, ...]:
    lacks = need.data.count(",") + 1
    return (
        need.run,
        need.status,
        f"lacks {plural(lacks, 'set')}" if need.data.startswith("lacks") else need.data,
        _number(need.budget.iterations, need.budget.exact),
        _number(need.budget.images, need.budget.exact),
        f"{need.speed.images_per_second:,.{0 if need.speed.images_per_second >= 100 else 1}f}"
        if need.speed
        else "",
        need.speed.source if need.speed else "",
        "" if need.is_trained else "unknown" if need.hours is None else _hours(need.hours),
    )


def _lacking(needs: Sequence[Need]) -> dict[str, str]:
    """Say what is missing, by protocol."""
    found = {need.protocol: need.data for need in needs if not need.data.startswith("ready")}
    return {f"protocol {name}": data for name, data in sorted(found.items())}


def _number(value: int | None, exact: bool) -> str:
    return "unknown" if value is None else f"{'' if exact else '~'}{value:,}"


def _hours(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _total_hours(needs: Sequence[Need]) -> str:
    known = [need.hours for need in needs if need.hours is not None]
    if needs and not known:
        return "unknown"
    return ("" if len(known) == len(needs) else "> ") + _hours(sum(known))


def sentence(needs: Sequence[Need]) -> str:
    """Summarise the plan in one sentence."""
    remaining = [need for need in needs if not need.is_trained]
    if not remaining:
        trained = "The run is trained" if len(needs) == 1 else f"All {len(needs)} runs are trained"
        waiting = sum(need.status == "trained" for need in needs)
        return f"{trained}; {waiting} still {_has(waiting)} to be evaluated." if waiting else f"{trained}."
    known = [need.hours for need in remaining if need.hours is not None]
    waiting = sum(not need.data.startswith("ready") for need in remaining)
    parts = [f"{len(remaining)} of {plural(len(needs), 'run')} still {_has(len(remaining))} to be trained"]
    if waiting:
        parts.append(f"{waiting} of them wait{'s' if waiting == 1 else ''} for data")
    if known:
        about = "" if all(need.budget.exact for need in remaining) else "about "
        rest = "" if len(known) == len(remaining) else " for the runs whose speed is known"
        parts.append(f"{about}{_hours(sum(known))} hours one after the other{rest}")
    if slow := sum(need.speed is None for need in remaining):
        parts.append(f"the speed of {slow} is unknown, add --measure")
    return "; ".join(parts) + "."


def _has(count: int) -> str:
    return "has" if count == 1 else "have"
