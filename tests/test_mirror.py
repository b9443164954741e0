"""Tests mirror src: every module of the package has a test file of its name, in the folder of its name.

Files that git does not track count only if there is no git: who tries a method of their own needs no test.
"""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTED_ELSEWHERE = {  # file, or folder, and which test has its behaviour
    "miniature/camera.py": "miniature/test_render.py",  # how a person is placed and seen is one drawing
    "miniature/config.py": "stages/test_synthesize.py",  # three fields of the data sets' schema
    "miniature/figure.py": "miniature/test_render.py",
    "miniature/occluder.py": "miniature/test_render.py",
    "miniature/textures.py": "miniature/test_identity.py",
    "miniature/writers/": "miniature/test_writers.py",  # the same is asked of each
    "networks/norms/instance_shallow.py": "networks/norms/test_instance.py",  # a name for a norm's variant
    "networks/norms/switchable_2way.py": "networks/norms/test_switchable.py",  # likewise
    "training/schedules.py": "methods/test_schedules.py",  # a former import path
}


def modules() -> list[str]:
    source = ROOT / "src/dgreid"
    every = {path.relative_to(source).as_posix() for path in source.rglob("[!_]*.py")}
    listed = subprocess.run(["git", "ls-files", "."], cwd=source, capture_output=True, text=True)
    return sorted(every & set(listed.stdout.split()) if listed.returncode == 0 else every)


def mirrored(module: str) -> Path:
    path = Path(module)
    return ROOT / "tests" / path.with_name(f"test_{path.name}")


def elsewhere(module: str) -> str | None:
    return next((place for place in TESTED_ELSEWHERE if module.startswith(place)), None)


def test_every_module_has_a_test_file_of_its_name():
    missing = [name for name in modules() if not (elsewhere(name) or mirrored(name).is_file())]
    assert [f"write {mirrored(name).relative_to(ROOT)}" for name in missing] == []


def test_every_exception_is_needed_and_says_where_its_test_is():
    needed = {elsewhere(name) for name in modules() if not mirrored(name).is_file()}
    assert needed - {None} == set(TESTED_ELSEWHERE)
    assert all((ROOT / "tests" / test).is_file() for test in TESTED_ELSEWHERE.values())
