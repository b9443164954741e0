"""Parse YAML and JSON that others may have written: bounded in size, depth and number of values.

YAML's aliases can make a few lines grow to more values than a memory holds, and deep nesting ends Python's
stack. Both are refused before anything is built.
"""

import json
from typing import Any

import yaml
from omegaconf import OmegaConf

MOST_CHARACTERS = 4_000_000  # of a YAML text; the largest selection allowed has about a quarter
MOST_VALUES = 200_000  # of a YAML text, every alias counted as what it stands for
DEEPEST = 40  # lists and mappings inside each other; ours have 6
_EVENTS = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(text: str) -> Any:
    """Parse a YAML text, numbers as Hydra reads them; an empty text gives an empty mapping.

    Raises:
        ValueError: the text is too large, too deep, or contains itself.
        yaml.YAMLError, OmegaConfBaseException: it is not YAML, or not what OmegaConf takes.
    """
    check_yaml(text)
    return OmegaConf.to_container(OmegaConf.create(text))


def parse_plain_yaml(text: str) -> Any:
    """Parse a YAML text that `yaml.safe_dump` wrote, or a single value, such as `[0, 1]`.

    Raises:
        ValueError: as `parse_yaml`.
        yaml.YAMLError: it is not YAML.
    """
    check_yaml(text)
    return yaml.load(text, _EVENTS)


def check_yaml(text: str) -> None:
    """Refuse a YAML text that would take too much memory or stack, in time proportional to its length.

    Raises:
        ValueError: the text is too large, too deep, or contains itself.
        yaml.YAMLError: it is not YAML.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"it has {len(text):,} characters, and {MOST_CHARACTERS:,} are allowed")
    total, opened, sizes = 0, [], {}  # opened: (anchor, total before it) of what is not closed yet
    for event in yaml.parse(text, _EVENTS):
        if isinstance(event, yaml.AliasEvent):
            if any(event.anchor == anchor for anchor, _ in opened):
                raise ValueError(f"*{event.anchor} in line {event.start_mark.line + 1} contains itself")
            total += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes[anchor] = total - before
        elif isinstance(event, yaml.NodeEvent):
            total += 1
            if isinstance(event, yaml.CollectionStartEvent):
                opened.append((event.anchor, total - 1))
            elif event.anchor:
                sizes[event.anchor] = 1
        if len(opened) > DEEPEST:
            raise ValueError(f"line {event.start_mark.line + 1} is nested more than {DEEPEST} levels deep")
        if total > MOST_VALUES:
            raise ValueError(f"it stands for more than {MOST_VALUES:,} values")


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text; unlike Python's, NaN and infinity are errors.

    Raises:
        ValueError: the text is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")
