"""Reading MATLAB files: damaged, foreign, unreadable and in use are four things."""

import errno
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from dgreid.datasets.mat import load_mat, open_hdf5, reading
from dgreid.errors import UserError

LOCK = """
import fcntl, sys
with open(sys.argv[1], "rb") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_file_that_another_program_writes_is_in_use(tmp_path):
    file = tmp_path / "a.mat"
    with h5py.File(file, "w") as mat:
        mat["x"] = 1
    with subprocess.Popen(
        [sys.executable, "-c", LOCK, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(UserError, match=r"a\.mat is in use by another program"):
            open_hdf5(file)
        other.stdin.close()
    assert open_hdf5(file)["x"][()] == 1


def test_a_file_that_may_not_be_read_is_not_damaged(tmp_path, monkeypatch):
    file = tmp_path / "a.mat"
    with h5py.File(file, "w") as mat:
        mat["x"] = 1

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Unable to open file")

    monkeypatch.setattr(h5py, "File", refuse)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError, match=r"a\.mat: cannot be read \(Permission denied\)"):
        open_hdf5(file)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_damaged_hdf5_file(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(UserError, match="not a whole MATLAB"):
        open_hdf5(tmp_path / "a.mat")


def test_a_damaged_matlab_5_file_is_one_sentence_wherever_it_is_cut_or_flipped(tmp_path):
    file = tmp_path / "a.mat"
    savemat(file, {"Person": np.arange(300.0), "text": "hello"}, do_compression=True)
    whole = file.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 23)]
    damaged += [whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :] for at in range(0, len(whole), 11)]
    for content in damaged:
        file.write_bytes(content)
        try:
            with reading(file, "Person"):
                load_mat(file)["Person"].ravel()[299]
        except UserError as error:
            assert str(error).startswith(f"{file}: ") and "\n" not in str(error)
