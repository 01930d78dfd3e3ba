# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ``requirements.txt`` read as pip reads it: its lines, its encodings and its options.

From pip's documentation (requirements file format) and ``req_file.py``, ``encoding.py`` of pip 25: options are parsed
by the same parser of the standard library, so that ``-rX``, ``--requirement=X`` and ``--req X`` are all the same.
"""

from __future__ import annotations

import codecs
import optparse
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

# See _environments.py.
with suppress(ImportError):
    from packaging.requirements import InvalidRequirement, Requirement

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""UTF-16, which PowerShell writes, after UTF-32, which begins with the same two bytes."""

_CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")
_COMMENT = re.compile(r"(^|\s+)#.*$")

_WITH_VALUE = (
    *("-i", "--index-url", "--pypi-url", "--extra-index-url", "-f", "--find-links", "--no-binary", "--only-binary"),
    *("--trusted-host", "--use-feature", "--global-option", "-C", "--config-settings", "--config-setting"),
)
_WITHOUT_VALUE = ("--no-index", "--pre", "--prefer-binary", "--require-hashes", "--always-unzip", "-Z")


class LineError(Exception):
    """A line that pip could not read either, told in a part of a sentence."""


@dataclass(frozen=True)
class Line:
    """A line of the file. ``number`` is where it begins, ``text`` what it says without comments.

    It has a ``requirement``, or what pip takes from elsewhere (``elsewhere``: a URL, a file, a folder), or files that
    it includes (``requirements``, ``constraints``), or none of them. ``sha256`` are its hashes in hex, ``has_hashes``
    tells whether there are any of whatever kind.
    """

    number: int
    text: str
    requirement: Requirement | None = None
    elsewhere: bool = False
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    sha256: frozenset[str] = frozenset()
    has_hashes: bool = False


def decoded(data: bytes) -> str:
    """Return the text of a file. Raises UnicodeDecodeError and LookupError for an encoding that Python knows not."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(encoding)
    for line in data.split(b"\n")[:2]:
        coding = _CODING.search(line) if line.startswith(b"#") else None
        if coding:
            return data.decode(coding[1].decode("ascii"))
    return data.decode("utf-8")


def lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers as pip joins them: without comments, and with what follows a backslash."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        is_comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not is_comment:
            joined += line[:-1]
            continue
        whole = _COMMENT.sub("", joined + (" " if is_comment else line)).strip()
        if whole:
            yield first, whole
        joined, first = "", 0
    if joined.strip():
        yield first, joined.strip()


def line_of(number: int, text: str) -> Line:
    """Return what a line says. Raises LineError."""
    words = text.split(" ")
    place = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    said, written = " ".join(words[:place]).strip(), " ".join(words[place:])
    try:
        found, rest = _parser().parse_args(shlex.split(written))
    except ValueError as reason:
        raise LineError(str(reason)) from reason
    if rest:
        raise LineError(f"{rest[0]!r} stands behind its options")
    if not said:
        return Line(
            number,
            text,
            elsewhere=bool(found.editables),
            requirements=tuple(found.requirements or ()),
            constraints=tuple(found.constraints or ()),
        )
    digests = [written.partition(":") for written in found.hashes or ()]
    return Line(
        number,
        text,
        requirement=None if _is_place(said) else _requirement(said),
        elsewhere=_is_place(said),
        sha256=frozenset(digest.lower() for kind, _colon, digest in digests if kind == "sha256"),
        has_hashes=bool(digests),
    )


class _Parser(optparse.OptionParser):
    def error(self, msg: str) -> None:  # type: ignore[override]  # As pip does: it must not end the program.
        raise LineError(msg)


def _parser() -> _Parser:
    parser = _Parser(add_help_option=False)
    parser.add_option("-r", "--requirement", action="append", dest="requirements")
    parser.add_option("-c", "--constraint", action="append", dest="constraints")
    parser.add_option("-e", "--editable", action="append", dest="editables")
    parser.add_option("--hash", action="append", dest="hashes")
    for option in _WITH_VALUE:
        parser.add_option(option, action="append", dest="others")
    for option in _WITHOUT_VALUE:
        parser.add_option(option, action="store_true", dest="others_without_value")
    return parser


def _requirement(said: str) -> Requirement:
    try:
        return Requirement(said)
    except InvalidRequirement as reason:
        raise LineError(str(reason).partition("\n")[0]) from reason


def _is_place(said: str) -> bool:
    """Tell whether pip takes it from a URL, a file or a folder, rather than by its name from an index."""
    named = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*@", said)
    place = re.match(r"\.{0,2}/|\.{1,2}$|[A-Za-z][A-Za-z0-9+.-]*:(//|[^ ]*$)", said)
    archive = said.partition(";")[0].rstrip().endswith((".whl", ".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz"))
    return bool(named or place) or archive
