"""The scripts in benchmarks/ and studies/ fit the package as it is; what they measure is not tested."""

import os
import subprocess
import sys
from shutil import copytree, ignore_patterns

from helpers.copied import contents

FOLDERS = ("benchmarks", "studies")
HELP = """
import runpy, sys
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    print("====", name, flush=True)
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print("---- ends with", end.code)
"""


def test_every_script_prints_its_help_and_does_nothing_else(root, tmp_path):
    for folder in FOLDERS:  # a copy: a script that runs after all overwrites no committed result
        copytree(root / folder, tmp_path / folder, ignore=ignore_patterns("__pycache__"))
    before = contents(tmp_path)
    files = [path for folder in FOLDERS for path in sorted((tmp_path / folder).glob("[a-z]*.py"))]
    sources = {f"{path.parent.name}.{path.stem}": path.read_text() for path in files}
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{root / 'src'}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", HELP, *sources], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = dict(part.split("\n", 1) for part in done.stdout.split("==== ")[1:])
    scripts = [name for name, text in sources.items() if "__main__" in text]
    assert {name.split(".")[0] for name in scripts} == set(FOLDERS)
    for name, text in sources.items():
        if name in scripts:
            first = text.removeprefix('"""').partition("\n")[0]
            assert printed[name].startswith("usage: "), name
            assert first in printed[name], name
            assert printed[name].endswith("---- ends with 0\n"), name
        else:  # a module that scripts import
            assert printed[name] == "", name
    assert contents(tmp_path) == before
