import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks as on Linux")
EDITS = """
import json
from pathlib import Path
from dgreid.selection.stale import changed

def show():
    print(json.dumps([sorted(items) for items in changed()]))

show()
Path("in.txt").touch()  # another date, the same content
show()
Path("in.txt").write_text("2")
show()
Path("in.txt").write_text("1")
Path("more.txt").write_text("by hand")
show()
Path("more.txt").unlink()
show()
Path("dvc.yaml").write_text(Path("dvc.yaml").read_text().replace("echo one", "echo  one"))
show()
"""


def test_what_differs_in_content_and_what_depends_on_it(dvc):
    assert dvc("repro").returncode == 0
    done = subprocess.run([sys.executable, "-c", EDITS], capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")] == [
        [[], []],
        [[], []],
        [["one"], ["two"]],  # an input
        [["two"], []],  # an output, which no other item reads
        [["two"], []],
        [["one", "two"], []],  # the command too
    ]
