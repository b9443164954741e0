"""Find the source files that a module executes, by its imports, and hash what matters in each."""

import ast
import hashlib
import io
import tokenize
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar

from dgreid.errors import UserError

PACKAGE = Path(__file__).parent
Result = TypeVar("Result")
_OPENING, _CLOSING = (  # tokens of f-strings and t-strings, which newer Pythons split into several
    {getattr(tokenize, f"{kind}STRING_{end}", None) for kind in "FT"} for end in ("START", "END")
)


class Sources:
    """The modules of a package and which of them import which; every file is read once."""

    def __init__(self, package: Path = PACKAGE):
        self.package = package
        self._files: dict[str, Path | None] = {}
        self._imported: dict[Path, list[str]] = {}
        self._digests: dict[Path, str] = {}

    def closure(self, modules: Iterable[str], leave_out: Iterable[str] = ()) -> list[str]:
        """List the files that importing `modules` would execute, late imports included.

        A package's `__init__` counts only if something is imported from it; if only a submodule is imported,
        it adds no more than a docstring and public names. Names without a file are skipped, because a
        configuration also contains values that name no module, such as `norm: batch`.

        Args:
            modules: full names, such as `dgreid.stages.train`.
            leave_out: full names of modules and packages that are not followed.

        Returns:
            Paths relative to the folder that holds the package, sorted.

        Raises:
            UserError: a file among them is not valid Python.
        """
        left = tuple(leave_out)
        found, waiting = set(), list(modules)
        while waiting:
            name = waiting.pop()
            file = self._file(name)
            if file is None or file in found or any(f"{name}.".startswith(f"{each}.") for each in left):
                continue
            found.add(file)
            waiting += self._imports(file)
        return sorted(file.relative_to(self.package.parent).as_posix() for file in found)

    def inside(self, package: str) -> list[str]:
        """List the full names of the modules in a folder of the package, sorted."""
        folder = self.package.joinpath(*package.split(".")[1:])
        return sorted(f"{package}.{file.stem}" for file in folder.glob("[!_]*.py"))

    def digests(self, modules: Iterable[str], leave_out: Iterable[str] = ()) -> dict[str, str]:
        """Compute the `digest` of each file of `closure`."""
        result = {}
        for name in self.closure(modules, leave_out):
            file = self.package.parent / name
            if file not in self._digests:
                self._digests[file] = digest(file)
            result[name] = self._digests[file]
        return result

    def _file(self, module: str) -> Path | None:
        """Find the file of a module of the package; None for other names."""
        if module not in self._files:
            head, *rest = module.split(".")
            path = self.package.joinpath(*rest)
            candidates = (path / "__init__.py", path.with_name(f"{path.name}.py"))
            known = (file for file in candidates if head == self.package.name and file.is_file())
            self._files[module] = next(known, None)
        return self._files[module]

    def _imports(self, file: Path) -> list[str]:
        """List the modules of the package that a file imports."""
        if file not in self._imported:
            above = file.relative_to(self.package.parent).parts
            names = []
            for level, module, name in _of(_statements, file):
                base = ".".join((*above[:-level], *filter(None, [module]))) if level else module
                submodule = f"{base}.{name}"
                names.append(submodule if name and self._file(submodule) else base)
            self._imported[file] = list(dict.fromkeys(names))
        return self._imported[file]


def digest(file: Path) -> str:
    """Compute the SHA-256 of a Python file without its comments, docstrings and blank space.

    Every statement that is only a string counts as a docstring. The hash is the same in all Python versions.

    Raises:
        UserError: the file is not valid Python.
    """
    return hashlib.sha256(_of(_essence, file).encode()).hexdigest()


def _of(read: Callable[[str], Result], file: Path) -> Result:
    """Apply `read` to a file's text; a syntax error becomes a sentence that names the file."""
    try:
        return read(file.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise UserError(f"{file}, line {error.lineno}: {error.msg}; fix that and run it again.") from error


@cache
def _statements(text: str) -> list[tuple[int, str, str | None]]:
    """List a text's imports: number of leading dots, module, and the name imported `from` it, else None."""
    found: list[tuple[int, str, str | None]] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.level, node.module or "", alias.name) for alias in node.names]
    return found


@cache
def _essence(text: str) -> str:
    """Return the lines of a text that do something; inside a multi-line string every character counts."""
    lines = text.split("\n")
    dropped, kept_whole = _strings_alone(ast.parse(text), lines), set()
    opened = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        first, last = token.start[0], token.end[0]
        if token.type == tokenize.COMMENT:
            dropped.append((token.start, token.end))
        elif token.type == tokenize.STRING:
            kept_whole.update(range(first, last))
        elif token.type in _OPENING:
            opened.append(first)
        elif token.type in _CLOSING:
            kept_whole.update(range(opened.pop(), last))
    # from the end, so that earlier positions stay valid
    for (first, left), (last, right) in sorted(dropped, reverse=True):
        kept_whole.difference_update(range(first, last))
        lines[first - 1 : last] = [lines[first - 1][:left] + lines[last - 1][right:], *[""] * (last - first)]
    lines = [line if row in kept_whole else line.rstrip() for row, line in enumerate(lines, 1)]
    return "\n".join(line for row, line in enumerate(lines, 1) if line or row in kept_whole) + "\n"


def _strings_alone(tree: ast.AST, lines: list[str]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Find the statements that are only a string: (row, column) of start and end of each."""
    return [
        (
            (node.lineno, _column(lines, node.lineno, node.col_offset)),
            (node.end_lineno, _column(lines, node.end_lineno, node.end_col_offset)),
        )
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]


def _column(lines: list[str], row: int, offset: int) -> int:
    """Convert a column in bytes (syntax trees) to one in characters (tokens)."""
    return len(lines[row - 1].encode()[:offset].decode())
