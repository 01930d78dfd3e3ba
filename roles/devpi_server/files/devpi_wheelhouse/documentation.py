"""Documentation that is too large: devpi-web unpacks it whatever its size, each member in memory."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

from devpi_server.log import threadlog
from pyramid.httpexceptions import HTTPRequestEntityTooLarge

#: Documentation with more files than that is none.
MOST_MEMBERS = 50_000
#: Bytes of the list of the members, which is read as a whole.
MOST_DIRECTORY = 16 << 20
#: The end of an archive is within its last bytes: 22, and a comment of at most 65,535.
END, END_SIZE, BIG_END = b"PK\x05\x06", 22, b"PK\x06\x07"


def problem_of(file: BinaryIO, most: int) -> str:
    """Say why documentation may not be unpacked, or nothing. `most` is in bytes."""
    size = file.seek(0, 2)
    file.seek(max(0, size - END_SIZE - 65_535))
    tail = file.read()
    at = tail.rfind(END)
    if at < 0 or len(tail) < at + END_SIZE:
        return "it is not a zip archive"
    # An archive of the 64-bit kind tells another size of its directory, and has more than documentation needs.
    if tail[: max(0, at - 16)].endswith(BIG_END) or struct.unpack_from("<L", tail, at + 12)[0] > MOST_DIRECTORY:
        return "it has too many members"
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as problem:
        return f"it cannot be read: {problem}"
    if len(members) > MOST_MEMBERS:
        return f"it has {len(members)} members, more than {MOST_MEMBERS}"
    # What a member says of its size is true: zipfile unpacks no more than that of it.
    unpacked = sum(member.file_size for member in members)
    return f"it has {unpacked} bytes when it is unpacked, more than {most}" if unpacked > most else ""


def tween(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """Refuse documentation that is too large when it is unpacked, before anything of it is kept."""
    most = registry["xom"].config.args.documentation_max_mib << 20

    def refuse_large(request: Any) -> Any:
        if request.method == "POST" and request.content_type == "multipart/form-data":
            content = request.POST.get("content")
            if request.POST.get(":action") == "doc_upload" and hasattr(content, "file"):
                problem = problem_of(content.file, most)
                content.file.seek(0)
                if problem:
                    threadlog.warn("documentation of %s was refused: %s", request.path, problem)
                    return HTTPRequestEntityTooLarge(f"The documentation was refused: {problem}.")
        return handler(request)

    return refuse_large
