"""Folders that are registries: a file in one is a method, a backbone, a norm, ... by what it defines."""

import symtable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from dgreid.errors import UserError, unknown


@dataclass(frozen=True)
class Registry:
    """The modules of a package that define the names `marks`; nothing else registers them.

    A file is listed if it defines the first of them; other files in the folder are helpers. Files are read
    to list them, and only the module that is asked for is imported.
    """

    package: str  # its full name
    what: str  # what a file stands for, in messages
    marks: tuple[str, ...]
    beside: tuple[str, ...] = ()  # names that stand for something without a file

    def names(self) -> list[str]:
        """List the modules, and the names beside them, sorted."""
        listed = (name for name, file in self._files().items() if _may_define(file, self.marks[0]))
        return sorted([*self.beside, *listed])

    def module(self, name: str, where: str = "") -> ModuleType:
        """Import the module called `name`, which stands at the place `where` in params/.

        Raises:
            UserError: there is no such file, it is not valid Python, or it lacks one of the marks.
        """
        if str(name) not in self._files():
            raise unknown(f"{self.what} of {where}" if where else self.what, name, self.names())
        file = Path("src", *self.package.split("."), f"{name}.py")
        try:
            found = import_module(f"{self.package}.{name}")
        except SyntaxError as error:
            raise UserError(f"{error.filename}, line {error.lineno}: {error.msg}; fix that.") from error
        for mark in self.marks:
            if not hasattr(found, mark):
                raise UserError(f"{file} defines no {mark}: add it, as docs/extend.md shows.")
        return found

    def _files(self) -> dict[str, Path]:
        return _files(tuple(import_module(self.package).__path__))


@cache
def _files(folders: tuple[str, ...]) -> dict[str, Path]:
    """Find the modules in these folders, name -> file; hidden and private files do not count."""
    found = [file for folder in folders for file in Path(folder).glob("[!_.]*.py")]
    return {file.stem: file for file in found if file.stem.isidentifier()}


@cache
def _may_define(file: Path, name: str) -> bool:
    """Whether a file defines a name at its top level; true for broken files, which importing reports."""
    try:
        symbols = symtable.symtable(file.read_text(encoding="utf-8"), str(file), "exec").get_symbols()
    except SyntaxError:
        return True
    return any(each.get_name() == name and (each.is_assigned() or each.is_imported()) for each in symbols)
