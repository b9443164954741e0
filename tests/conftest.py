import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("helpers")
if "PYTEST_XDIST_WORKER" in os.environ:  # the cores are shared out already
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# a run in the background may ignore Ctrl-C, and the processes that the tests interrupt would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

# the same examples everywhere, so that a result repeats; `--hypothesis-profile=search` looks for new ones
settings.register_profile("repeat", derandomize=True, deadline=None)
settings.register_profile("search", derandomize=False, deadline=None, print_blob=True)
settings.load_profile("repeat")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared():
    """The folder with real images and weights, where this machine has one."""
    folder = Path(os.environ.get("DGREID_SHARED", ROOT.parent / "shared"))
    if not (folder / "datasets").is_dir():
        pytest.skip("no real images here (DGREID_SHARED)")
    return folder


@pytest.fixture
def root(monkeypatch):
    """Run inside the project root, where params/ is."""
    monkeypatch.chdir(ROOT)
    return ROOT
