"""The short notation of params/protocol and params/targets, as `dgreid protocols` shows it.

    cuhksysu                        every image of the data set's identities
    msmt17:official_with_val        the training part of split 0 of a split set
    market1501:official by camera   the same, with each camera as a domain

A target is the query and gallery part of a split set: viper:rand10_a2b.
"""

import re

from dgreid import params
from dgreid.errors import UserError, unknown
from dgreid.paths import SPLITS

FORM = re.compile(r"(?P<dataset>[^\s:]+)(:(?P<split_set>[^\s:]+))?(?P<camera> by camera)?")
# The split sets that each parser makes. Those of other parsers begin with the data set's name and are not
# checked.
SPLIT_SETS = {
    "caviar4reid": (),
    "cuhk01": (),
    "cuhk02": ("cuhk02/pair5",),
    "cuhk03": (
        "cuhk03/np_detected",
        "cuhk03/np_labeled",
        "cuhk03/classic_detected",
        "cuhk03/classic_labeled",
        "cuhk03/classic_both",
    ),
    "cuhksysu": (),
    "dukemtmc": ("dukemtmc/official",),
    "grid": ("grid/official10",),
    "ilids": ("ilids/rand10",),
    "market1501": ("market1501/official",),
    "msmt17": ("msmt17/official", "msmt17/official_with_val"),
    "prid2011": ("prid/rand10",),
    "threedpes": (),
    "viper": ("viper/rand10_a2b",),
}


def source(text: str, where: str) -> dict[str, str]:
    """Parse the notation of a source into its fields.

    Args:
        text: such as msmt17:official.
        where: names the file in an error, such as `protocol m3l_duke`.

    Raises:
        UserError: not of the form, or no such data set or split set.
    """
    said = FORM.fullmatch(text)
    if not said:
        raise UserError(
            f"{where}: source '{text}' is not of the form NAME or NAME:SPLIT_SET, perhaps with ` by camera`."
        )
    fields = {"dataset": _dataset(said["dataset"], where)}
    if said["split_set"]:
        fields["split_set"] = _split_set(said["dataset"], said["split_set"], where)
    return fields | ({"domain_by": "camera"} if said["camera"] else {})


def target(text: str, where: str) -> dict[str, str]:
    """Parse the notation of a target, such as viper:rand10_a2b, into data set and split set; see `source`.

    Raises:
        UserError: not of the form, or no such data set or split set.
    """
    said = FORM.fullmatch(text)
    if not said or not said["split_set"] or said["camera"]:
        raise UserError(f"{where}: target '{text}' is not of the form NAME:SPLIT_SET, as viper:rand10_a2b.")
    dataset = _dataset(said["dataset"], where)
    return {"dataset": dataset, "split_set": _split_set(dataset, said["split_set"], where)}


def _dataset(name: str, where: str) -> str:
    known = params.names("dataset")
    if name not in known:
        raise unknown(f"dataset in {where}:", name, known)
    return name


def _split_set(dataset: str, name: str, where: str) -> str:
    """Return a split set's full name, such as prid/rand10 for rand10 of prid2011."""
    parser = params.read("dataset", dataset).get("parser")
    if parser not in SPLIT_SETS:
        return f"{dataset}/{name}"
    known = {full.split("/")[1]: full for full in SPLIT_SETS[parser]}
    family = SPLIT_SETS[parser][0].split("/")[0] if known else parser
    for path in SPLITS.glob(f"{dataset}-*.json"):  # of `dgreid splits import`
        imported = path.stem.removeprefix(f"{dataset}-")
        known[imported] = f"{family}/{imported}"
    if name not in known:
        raise unknown(f"split set of {dataset} in {where}:", name, known)
    return known[name]
