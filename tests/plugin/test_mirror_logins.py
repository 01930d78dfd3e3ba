# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The login in the URL of a mirror is shown to whoever may change the index, and to nobody else."""

from __future__ import annotations

import pytest
from devpi import ROOT, URL, Devpi, basic
from devpi_wheelhouse.mirror_logins import without_login

PATHS = ["/", "/team", "/team/mirror", "/team/mirror?no_projects="]
ALICE = basic("alice", "password of alice")


@pytest.mark.parametrize("path", PATHS)
def test_login_is_for_those_who_change_the_index(shared: Devpi, path: str) -> None:
    limited = [shared.token("root", indexes=["team/public"]), shared.token("root", allowed=["upload"])]
    for login in ({}, ALICE, shared.token("alice"), basic("team", "password of team"), *limited):
        answer = shared.ask(path, login)
        if answer.status_code == 403:
            assert login in limited
            continue
        assert "secret" not in answer.text
        assert "http://127.0.0.1:9/simple/" in answer.text
        assert int(answer.headers["Content-Length"]) == len(answer.body)
    for login in (ROOT, shared.token("root")):
        assert f'"{URL}": "http://upstream:secret@127.0.0.1:9/simple/"' in shared.ask(path, login).text


def test_all_else_of_the_answer_stays(shared: Devpi) -> None:
    root, alice = (shared.ask("/", login).json for login in (ROOT, ALICE))
    root["result"]["team"]["indexes"]["mirror"][URL] = "http://127.0.0.1:9/simple/"
    assert alice == root


def test_urls_in_texts() -> None:
    value = {"a": ["see https://u:p@x.test/y, or http://t@z", 1, None], "b": "a@b.test", "c": "http://x/@y"}
    assert without_login(value) == {
        "a": ["see https://x.test/y, or http://z", 1, None],
        "b": "a@b.test",
        "c": "http://x/@y",
    }
