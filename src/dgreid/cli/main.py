"""The command `dgreid`: builds the parser from the families of commands and runs the chosen command."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from dgreid import trouble
from dgreid.cli import data, inference, pictures, selection, stages
from dgreid.errors import UserError, one_line, unknown
from dgreid.paths import PARAMS

FAMILIES = (data, selection, stages, inference, pictures)
ALIASES = {("report", "--plan"): "plan", ("report", "--photographs"): "photographs"}  # of earlier versions
EXAMPLES = """examples:
  dgreid adopt market1501 --from ~/Downloads/Market-1501-v15.09.15.zip
  dgreid select open_small && snakemake --cores all
  dgreid select miniature 'methods=[erm,metabin]' 'seeds=[0,1,2]'
  dgreid describe method=metabin
  dgreid train method=metabin backbone=resnet_tiny protocol=miniature seed=0

`dgreid COMMAND --help` explains a command.
"""


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one sentence, like all others."""

    def error(self, message: str) -> None:
        """Raise a UserError instead of ending the process."""
        raise UserError(f"{message}; see `{self.prog} --help`.")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        words: the command and its arguments; `sys.argv` by default.

    Returns:
        The exit status: 0 on success, 1 after an error (one sentence on stderr), 130 if interrupted.
    """
    words = sys.argv[1:] if words is None else list(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        arguments = parse(words)
        if not PARAMS.is_dir():
            raise UserError(f"there is no {PARAMS}/ here: run dgreid from the project's root folder.")
        arguments.run(arguments)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader closed the pipe, as in `dgreid protocols | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's last flush would fail
        return 0
    except Exception as error:  # the last resort: a full disk, short memory, a missing permission
        said = trouble.sentence(error)
        if said is None:
            raise
        print(f"error: {one_line(said)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command again to continue.", file=sys.stderr)
        return 130
    return 0


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; `run` of the result is the function that executes the command.

    Raises:
        UserError: an unknown command or argument, or a missing one.
    """
    parser, commands = build_parser()
    for (command, option), name in ALIASES.items():
        if words[:1] == [command] and option in words:
            words = [name, *(word for word in words[1:] if word != option)]
    if any("\0" in word for word in words):
        raise UserError("a word of the command has a character that no file name may have (NUL): remove it.")
    if words and not words[0].startswith("-") and words[0] not in commands:
        raise unknown("command", words[0], commands)
    arguments, rest = parser.parse_known_args(words)
    if rest:
        commands[arguments.command].error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments


def build_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Build the parser of `dgreid`, and that of each command by its name."""
    parser = Parser(
        prog="dgreid",
        usage="%(prog)s [-h] COMMAND ...",
        description="Domain-generalizable person re-identification as a reproducible pipeline.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        prog="dgreid", dest="command", required=True, metavar="COMMAND", help=argparse.SUPPRESS
    )
    listed = []
    for family in FAMILIES:
        known = set(commands.choices)
        family.add_commands(partial(_add, commands))
        listed.append(f"{family.TITLE}:")
        listed += [
            f"  {name:<12}  {command.description}"
            for name, command in commands.choices.items()
            if name not in known
        ]
    parser.epilog = "\n".join([*listed, "", EXAMPLES])
    return parser, commands.choices


def _add(
    commands: argparse._SubParsersAction,
    name: str,
    summary: str,
    run: Callable[[argparse.Namespace], None],
    example: str,
) -> argparse.ArgumentParser:
    """Add a command to the parser; its arguments are added to the parser returned."""
    command = commands.add_parser(
        name,
        description=summary,
        epilog=f"example:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    return command
