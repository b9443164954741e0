"""Why do MetaBIN and M3L rank lower on the miniature benchmark than in the papers? Controls.

Starts from the runs of selection `story` and trains a few more on the same data, seeds and budget. What
follows was written before each of them was run (known then: the story's tables, and that gates end at .97 on
average):

A. What separates BIN (Rank-1 50.3) from MetaBIN (48.6)?
   `gates`: both learners' networks (MetaBIN's layer) evaluated with other gates, the running statistics
   estimated anew each time. If the gates separate the two, exchanging them moves Rank-1 by more than 2
   points, and learned gates are more than 2 points above the best constant. Expected: neither.
   `erm_bin`: MetaBIN's layer, its gates trained by the base loss as BIN's are. Expected: the effect of the
   gates' learner, same layer, has an interval that covers 0.
   `bin, gates held at .5`: if gate learning matters on this benchmark, it falls 5 points below BIN.
   Expected: no.
   `held` and `unseen`: new identities of the source and of the target domains, galleries of equal size. The
   paper says that jointly trained gates over-fit the sources: then the joint learner's held - unseen is above
   the meta-learner's by more than 3 points. Expected: no.
   `gates x10`: ten times the gates' rate for both learners. If 300 iterations are too short for gates at .1,
   the meta-learner gains more than 3 points on the joint one by it. Expected: undecided.
   `600 iterations`, added when `held` had shown BIN's lead over BN (17) among new identities of the sources
   too: if that lead is speed of learning, it shrinks to less than half with twice the budget. Expected: yes.
   If MetaBIN is behind BIN because its gates need time, it gains more by it than BIN does. Expected:
   undecided.
B. The story gave M3L MetaBIN's batches first, 4 identities of each domain; its release has 16. Why was M3L
   without meta-learning (18.4) below its baseline (33.5) then, and M3L (16.1) with it? All `4 people`:
   `held` of both: if they fail to learn, it is as far down as `unseen`; if they fail to generalise, not.
   `m3l_global_fc_baseline`: every domain forwarded by itself as in M3L, but a linear classifier. If batch
   norms of 16 images are the reason, it stays within 5 points of 18.4; if the memory, within 5 of 33.5.
   (A later reading: it cannot clear those norms, which may harm a memory and not a classifier.)
   `warm`: both baselines from the backbone that `erm_m3l` trained with another seed, in the place of
   ImageNet's. If the start is the reason, M3L's gaps to `erm_m3l` shrink to less than half.
   `triplet alone`, added when the classifier had reached 36.2: M3L's baseline without its memory. If the
   memory merely adds nothing, this stays within 5 points of 18.4; if the memory does harm, it is above. And
   from the warm start, added when it was above: if the memory does no harm then, it is not above again.
C. M3L's own batches, added when a frozen network's memory was found to identify training images no better
   than by chance under batch norms of 16 images, and far better under norms of 64: if noisy norms are what
   hurts the memory, the gap of M3L without meta-learning to the baseline with the same batches shrinks
   to less than half of 15.2. Expected: yes. The story has these batches since; the rate was chosen anew for
   them, by the training loss of `m3l_baseline`, before any target was evaluated.
   `own rate`, added when M3L stood 38 points below: its inner step has the outer one's rate, and the recipe's
   is too large for it (training loss). If that is why, the gap to the baseline shrinks to less than half.
   `no MetaBN`, `full MAML`, `first order`, added when one seed at its own rate had 35.5 and still did not fit
   its training identities, one seed each: which part of M3L is it? If gradients are small its inner step is
   316 rates long, so second-order gradients may drown the others. Then `first order` fits (above 60), the
   other two do not. Expected: yes.
   `m3l_baseline, M3L's own rate`, added when two of the three had not fitted either: does the rate that M3L
   bears alone keep a method from fitting in 300 iterations? Then this is nearer to M3L than to the baseline
   at its rate. Expected: yes (known: it ends one seed with three times the training loss, of M3L a quarter).

    dgreid select story && snakemake --cores all && python -m studies.story

Existing runs and scores are kept; delete them to make them again. About 90 core-minutes in all.
"""

import argparse
import json
import logging
from functools import cache
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from dgreid.evaluation.statistics import paired_difference
from dgreid.files import whole
from dgreid.images.normalise import normalise
from dgreid.methods.base import Method
from dgreid.miniature.render import World
from dgreid.networks.norms.gates import gates_of
from studies.common import RESULTS, SOURCES, TARGETS, pairs, rank1
from studies.story_gates import PROBED, probes
from studies.story_memory import memory, standing_still
from studies.story_runs import (
    HELD_GATES,
    OWN_RATE,
    SEEDS,
    UNTRAINED,
    VARIANTS,
    begun,
    protocol,
    targets,
    trained,
)

QUESTIONS = [  # first - second
    ("metabin", "bin"),
    ("metabin", "erm_bin"),
    ("erm_bin", "bin"),
    ("bin", "erm_pooled"),
    ("bin, 600 iterations", "erm_pooled, 600 iterations"),
    ("erm_pooled, 600 iterations", "erm_pooled"),
    ("bin, 600 iterations", "bin"),
    ("metabin, 600 iterations", "bin, 600 iterations"),
    ("metabin, 600 iterations", "metabin"),
    (HELD_GATES, "bin"),
    (HELD_GATES, "metabin"),
    (HELD_GATES, "erm_pooled"),
    ("metabin, gates x10", "erm_bin, gates x10"),
    ("erm_bin, gates x10", "erm_bin"),
    ("metabin, gates x10", "metabin"),
    ("m3l_baseline", "erm_m3l"),
    ("m3l", "erm_m3l"),
    ("m3l", "m3l_baseline"),
    (OWN_RATE, "erm_m3l"),
    (OWN_RATE, "m3l_baseline"),
    ("m3l_baseline, M3L's own rate", "m3l_baseline"),
    (OWN_RATE, "m3l_baseline, M3L's own rate"),
    ("erm_m3l", "erm_m3l, 4 people"),
    ("m3l_baseline", "m3l_baseline, 4 people"),
    ("m3l", "m3l, 4 people"),
    ("m3l_baseline, 4 people", "erm_m3l, 4 people"),
    ("m3l, 4 people", "erm_m3l, 4 people"),
    ("m3l, 4 people", "m3l_baseline, 4 people"),
    ("m3l_baseline, 4 people", UNTRAINED),
    ("m3l_global_fc_baseline, 4 people", "erm_m3l, 4 people"),
    ("m3l_global_fc_baseline, 4 people", "m3l_baseline, 4 people"),
    ("m3l_baseline, 4 people", "m3l_baseline, triplet alone, 4 people"),
    ("m3l_baseline, triplet alone, 4 people", "erm_m3l, 4 people"),
    ("m3l_baseline, 4 people, warm", "erm_m3l, 4 people, warm"),
    ("m3l_baseline, 4 people, warm", "m3l_baseline, triplet alone, 4 people, warm"),
    ("m3l_baseline, triplet alone, 4 people, warm", "erm_m3l, 4 people, warm"),
    ("erm_m3l, 4 people, warm", "erm_m3l, 4 people"),
]


# ------------------------------------------------------------------------------------------- measuring
@cache
def new_identities(domain: str) -> Tensor:
    """(120, 3, 64, 32): 60 identities of no data set, two cameras each."""
    images = pairs(World(domain))  # (60, 2, 64, 32, 3)
    return normalise(torch.from_numpy(images.reshape(-1, *images.shape[2:])))


@torch.inference_mode()
def evaluate_new(method: Method, domain: str) -> float:
    features = method.embed(new_identities(domain)).float()
    return rank1(features.reshape(len(features) // 2, 2, -1))


def scores(method: Method) -> dict:
    """Everything measured of a trained network: the targets, and new identities of all domains."""
    held, unseen = (
        round(fmean(evaluate_new(method, domain) for domain in domains), 2) for domains in (SOURCES, TARGETS)
    )
    node = {"rank1": targets(method), "held": held, "unseen": unseen, "gap": round(held - unseen, 2)}
    gates = gates_of(method)
    if gates:
        values = torch.cat([gate.detach() for gate in gates.values()])
        node["gates"] = {
            "mean": round(float(values.mean()), 4),
            "below .5": round(float((values < 0.5).float().mean()), 4),
            "mean per layer": [round(float(gate.detach().mean()), 3) for gate in gates.values()],
        }
    return node


# -------------------------------------------------------------------------------------------- reporting
def difference(first: list[float], second: list[float]) -> dict[str, float]:
    found = paired_difference(first, second)
    return {"mean": round(found.mean, 2), "low": round(found.low, 2), "high": round(found.high, 2)}


def differences(systems: dict) -> list[dict]:
    """Paired over the seeds that both have; `gap` is held - unseen."""
    table = []
    for first, second in QUESTIONS:
        seeds = sorted(systems.get(first, {}).keys() & systems.get(second, {}).keys())
        if len(seeds) < 2:
            continue
        row = {"first": first, "second": second, "seeds": [int(seed) for seed in seeds]}
        for measure in ("rank1", "held", "unseen", "gap"):
            both = [
                [each["rank1"]["average"] if measure == "rank1" else each[measure] for each in scored]
                for scored in ([systems[name][seed] for seed in seeds] for name in (first, second))
            ]
            row[measure] = difference(*both)
        table.append(row)
    return table


def probe_differences(found: dict, systems: dict) -> dict:
    """Average Rank-1 with other gates minus that with the learned ones, paired over seeds.

    `statistics as trained` says what estimating them anew does by itself.
    """
    table = {}
    for name, seeds in found.items():
        scored = {
            title: [each[title]["average"] for each in seeds.values()] for title in next(iter(seeds.values()))
        }
        before = [systems[name][seed]["rank1"]["average"] for seed in seeds]
        scored = {"learned, statistics as trained": before} | scored
        learned = scored.pop("learned")
        if len(learned) > 1:
            table[name] = {title: difference(values, learned) for title, values in scored.items()}
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", nargs="+", default=list(VARIANTS), choices=VARIANTS, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--probes", nargs="*", default=["gates", "memory"], choices=["gates", "memory"])
    parser.add_argument("--out", type=Path, default=RESULTS / "story.json")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    result = json.loads(chosen.out.read_text(encoding="utf-8")) if chosen.out.exists() else {}
    systems, gates, memories, still = (
        result.setdefault(key, {})
        for key in ("systems", "gates", "memory", "memory of a network that stands still")
    )

    def save() -> None:
        found = {
            "data_kind": protocol().kind,
            "unit": "Rank-1, per cent; intervals 95 %, Student's t over seeds",
            "systems": systems,
            "differences": differences(systems),
            "gates": gates,
            "gates, minus learned": probe_differences(gates, systems),
            "memory": memories,
            "memory of a network that stands still": still,
        }
        with whole(chosen.out) as part:
            part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    for name in chosen.runs:
        for seed in map(str, chosen.seeds):
            if seed not in systems.setdefault(name, {}):
                systems[name][seed] = scores(trained(name, int(seed)))
                logging.info("%s, seed %s: %s", name, seed, systems[name][seed])
                save()
    for seed in map(str, SEEDS) if "gates" in chosen.probes else ():
        for name in PROBED:
            if seed not in gates.setdefault(name, {}):
                gates[name][seed] = probes(int(seed), name)
                logging.info("%s, seed %s: %s", name, seed, gates[name][seed])
                save()
    for name in (
        ("m3l_baseline, 4 people", "m3l_baseline, 4 people, warm") if "memory" in chosen.probes else ()
    ):
        for seed in map(str, SEEDS):
            if seed not in memories.setdefault(name, {}):
                start, end = begun(name, int(seed)), trained(name, int(seed))
                memories[name][seed] = {"start": memory(start), "end": memory(end)}
                logging.info("memory of %s, seed %s: %s", name, seed, memories[name][seed])
                save()
    for name in ("erm_m3l, 4 people", "m3l_baseline, 4 people") if "memory" in chosen.probes else ():
        for seed in map(str, SEEDS):
            if seed not in still.setdefault(name, {}):
                method = trained(name, int(seed))
                still[name][seed] = {str(people): standing_still(method, people) for people in (4, 8, 16)}
                logging.info("%s standing still, seed %s: %s", name, seed, still[name][seed])
                save()


if __name__ == "__main__":
    main()
