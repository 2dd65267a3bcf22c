"""Files of a run folder as bytes, within bounds: no links, no devices, nothing too large.

Nothing in a run folder is trusted: it may be damaged, half written, or made by somebody who means harm. A file is read
once into memory; what was checked is what is used.
"""

from __future__ import annotations

import stat
import zlib
from pathlib import Path

from palimpsest.results.reading.problems import Invalid

BYTES_JSON = 8_000_000
BYTES_JOURNAL = 256_000_000
BYTES_TABLE = 512_000_000
_GZIP = 31
"""zlib's number for a stream with gzip's header."""


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes.

    Raises:
        Invalid: it is missing, a link, no file, too large, or unreadable.
    """
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise Invalid("is not a plain file")
        if status.st_size > limit:
            raise Invalid(f"has {status.st_size} bytes, more than the {limit} that are read")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise Invalid("is missing") from error
    except OSError as error:
        raise Invalid(f"cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise Invalid(f"has more than {limit} bytes")
    return data


def read_packed(path: Path, limit: int) -> bytes:
    """The content of a regular file that is packed with gzip; neither it nor its content has more than ``limit`` bytes.

    Raises:
        Invalid: it cannot be read, is packed otherwise, cut off, followed by something else, or expands too far.
    """
    unpacking = zlib.decompressobj(wbits=_GZIP)
    try:
        content = unpacking.decompress(read_bytes(path, limit), limit + 1)
    except zlib.error as error:
        raise Invalid("is not packed with gzip, or damaged") from error
    if len(content) > limit:
        raise Invalid(f"unpacks to more than {limit} bytes")
    if not unpacking.eof or unpacking.unused_data:
        raise Invalid("is cut off, or goes on behind its end")
    return content
