"""The command line: `main` and one file per family of commands."""
