"""Keep what Python compiles out of zip files; for disposable hosts alone, on which root runs thousands of tasks.

Ansible sends each task as a zip file of sources, and Python compiles them anew at each call, a third of the time that a
task needs there. Who may not write to the folder compiles as ever. The names of files in a traceback may be those of an
earlier call.
"""

import contextlib
import functools
import marshal
import os
import sys
import zipimport
from types import CodeType

KEPT = "/var/cache/wheelhouse-test"

# There is no public way in.
INSIDE = vars(zipimport)
compile_source = INSIDE["_compile_source"]


# Python asks for the code of a module twice in a row: to find the module, and to run it.
@functools.lru_cache(maxsize=1)
def compile_once(path: str, source: bytes) -> CodeType:
    """Return the code of a source, kept under the digest of the source and the version of Python."""
    # At the start of each Python it would cost time.
    import hashlib  # noqa: PLC0415

    file = f"{KEPT}/{hashlib.sha256(source).hexdigest()}.{sys.implementation.cache_tag}"
    with contextlib.suppress(OSError), open(file, "rb") as kept:
        found: CodeType = marshal.load(kept)
        return found
    code: CodeType = compile_source(path, source)
    with contextlib.suppress(OSError):
        with open(f"{file}.{os.getpid()}", "wb") as new:
            marshal.dump(code, new)
        os.rename(new.name, file)
    return code


INSIDE["_compile_source"] = compile_once
