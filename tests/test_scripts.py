"""The scripts in benchmarks/ and studies/ fit the package as it is; what they measure is not tested."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("folder", ["benchmarks", "studies"])
def test_every_script_imports(root, folder):
    names = sorted(path.stem for path in (root / folder).glob("[a-z]*.py"))
    assert names
    code = "\n".join(f"import {folder}.{name}" for name in names)
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
