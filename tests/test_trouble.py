import errno
import io
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from dgreid.trouble import full, sentence


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "x", "data/a"), "data/a: No space left on device; make room"),
        (OSError(errno.EFBIG, "x", "data/a"), "data/a: File too large; raise the limit"),
        (OSError(errno.EDQUOT, "x", "data/a"), "data/a: Disk quota exceeded; make room, or ask"),
        (PermissionError(errno.EACCES, "x", "data/b"), "data/b: Permission denied; get the right"),
        (OSError("half a sentence"), "half a sentence; fix that"),
        (OSError(errno.ENOMEM, "x"), "memory is short"),
        (MemoryError(), "memory is short"),
        (pa.ArrowMemoryError("malloc of size 64 failed"), "memory is short"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
         "memory is short"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), "memory is short"),
        (RuntimeError("can't start new thread"), "memory is short"),
        (pa.ArrowException("Unknown error: Failed to launch worker thread: Resource"), "memory is short"),
        (SystemError("error return without exception set"), "memory is short"),
        (RuntimeError("[enforce fail at inline_container.cc:672] unexpected pos 64"), "could not be written"),
    ],
)  # fmt: skip
def test_what_the_machine_lacked_is_one_sentence_with_a_remedy(error, said):
    found = sentence(error)
    assert said in found
    assert "\n" not in found and found.endswith(".") and "again" in found


@pytest.mark.parametrize(
    "error", [KeyError("memory"), RuntimeError("shapes differ"), ValueError("no memory")]
)
def test_a_mistake_in_the_code_is_none_of_them(error):
    assert sentence(error) is None


def test_a_mistake_made_while_handling_a_missing_file_stays_a_mistake():
    try:
        try:
            Path("nowhere").read_text()
        except FileNotFoundError:
            {}["key"]
    except KeyError as error:
        assert sentence(error) is None


def test_a_full_disk_is_found_behind_the_error_of_torch():
    class Full(io.RawIOBase):
        room = 3000

        def write(self, content):
            self.room -= len(content)
            if self.room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return len(content)

    with pytest.raises(RuntimeError) as raised:
        torch.save({"weights": torch.zeros(10_000)}, Full())
    assert full(raised.value).errno == errno.ENOSPC
