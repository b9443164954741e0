"""The command line: `main`, and one file per family of commands.

A family is a module with a `TITLE` and `add_commands(add)`, which calls `add` once per command with its name,
summary, function and example. Heavy imports stand inside the functions, so that `dgreid --help` is fast.
"""
