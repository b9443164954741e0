import os
import sys

import pytest
from filelock import FileLock

from attack import harness, project

if sys.platform != "linux":
    collect_ignore_glob = ["test_*.py"]  # kills and forks as on Linux


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Runs commands in forked children."""
    made = harness.Server(tmp_path_factory.mktemp("server"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def built(server, tmp_path_factory):
    """The folder of a finished project; attack replicas of it."""
    top = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        top = top.parent  # the workers share one
    folder = top / "attacked" / "project"
    with FileLock(top / "attacked.lock"):
        if not (top / "attacked/built").exists():
            project.build(server, folder)
            (top / "attacked/built").touch()
    return folder


@pytest.fixture
def tally(record_property):
    """Make the counter of an attack; `close` it in the end."""
    return lambda attack, kind="inputs": harness.Tally(attack, kind, record_property)


def pytest_terminal_summary(terminalreporter):
    """Print the counts of all attacks."""
    reports = [each for name in ("passed", "failed") for each in terminalreporter.stats.get(name, [])]
    rows = [value for each in reports for key, value in each.user_properties if key == "attack"]
    if rows:
        terminalreporter.write_line("")
        terminalreporter.write_line(harness.table(map(tuple, rows)))
