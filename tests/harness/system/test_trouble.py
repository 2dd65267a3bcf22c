"""Troubles of the environment are told in words, whatever library met them."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.system.trouble import trouble


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/h/a"), "/h/a: no space left on device. The disk is full"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "The disk is full"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "/h/a"), "The disk is full"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/h/a"), "/h/a: permission denied"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), b"/h/a"), "/h/a: read-only file system"),
        (FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/h/a"), "/h/a: no such file or directory."),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/h/a"), "ulimit -n"),
        (OSError(errno.EIO, os.strerror(errno.EIO), "/h/a"), "/h/a: input/output error."),
        (MemoryError(), "not enough memory"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
            "not enough memory",
        ),
        (RuntimeError("can't start new thread"), "threads"),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), "The disk is full"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "not enough memory"),
        (shutil.Error([("a", "b", "[Errno 28] No space left on device: 'a'"), ("c", "d", "e")]), "The disk is full"),
        (ConnectionError("nobody there"), "nobody there"),
    ],
)
def test_a_trouble_of_the_environment_is_told_in_words_and_ends_with_4(error: Exception, words: str) -> None:
    told = trouble(error)
    assert told is not None
    assert words in str(told)
    assert told.exit_code == 4
    assert str(told).count("Errno") == isinstance(error, shutil.Error)


@pytest.mark.parametrize("error", [ZeroDivisionError("1"), RuntimeError("a shape"), KeyError("a"), ConfigError("b")])
def test_a_program_s_own_error_is_none(error: Exception) -> None:
    assert trouble(error) is None


def test_a_trouble_under_another_error_is_found() -> None:
    """Libraries wrap what the system said in errors of their own."""

    def read() -> None:
        try:
            Path("/proc/self/mem/nothing").read_bytes()
        except OSError as error:
            raise RuntimeError("could not load") from error

    with pytest.raises(RuntimeError) as caught:
        read()
    assert "/proc/self/mem/nothing: not a directory" in str(trouble(caught.value))
