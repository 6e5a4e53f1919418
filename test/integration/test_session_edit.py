"""nodebeatctl session edit, on a terminal of its own, with editors that are scripts."""

import json
import os
import re
import stat

import pytest
from support.agent import environment
from support.ctl import FOUND, OK, REFUSED, USAGE, find_ctl, run
from support.terminal import Terminal
from support.waiting import wait_until

if find_ctl() is None:
    pytest.skip("no nodebeatctl was built", allow_module_level=True)

FIRST = '{"joints":[1.10,2],"b":{"x":1e2,"y":2},"name":"é"}'


@pytest.fixture
def session(cell, tmp_path, closing):
    """A session, and edit(script): nodebeatctl session edit, whose editor runs these lines with the file as $1."""

    class Session:
        redis = cell.redis
        client = cell.client
        folder = tmp_path / "texts"
        runs = 0

        @classmethod
        def edit(cls, script, name="a", *options, env=None):
            cls.runs += 1
            editor = tmp_path / f"editor-{cls.runs}"
            editor.write_text(f"#!/bin/sh\n{script}\n")
            editor.chmod(0o755)
            found = {"VISUAL": str(editor), "TMPDIR": str(cls.folder), **(env or {})}
            return closing(Terminal(["--socket", cell.agent.socket_path, "session", "edit", name, *options],
                                    environment(tmp_path / "sanitizer", **found)))

        @classmethod
        def state(cls):
            """What a caller has written of it, as text."""
            return re.sub(r'^\{"session_id":.*?"updated_at":"[^"]*",?', "{", cls.redis.get("session:a"))

        @classmethod
        def kept(cls):
            return [path.read_text() for path in cls.folder.iterdir()]

    Session.folder.mkdir()
    cell.client.call("session.create", '{"session_id":"a","state":%s,"ttl_ms":86400000}' % FIRST)
    return Session


def ends(terminal, code):
    wait_until(lambda: terminal.process.poll() is not None)
    terminal.thread.join(10)
    assert terminal.process.returncode == code, terminal.output
    return terminal.output.replace("\r\n", "\n")


def answers(terminal, question, letter):
    wait_until(lambda: question in terminal.output)
    os.write(terminal.master, f"{letter}\n".encode())


def meanwhile(session):
    """Lines of an editor: another program writes, before the editor goes on."""
    session.go, session.at = session.folder.parent / "go", session.folder.parent / "at"
    return f'touch {session.at}; while [ ! -e {session.go} ]; do sleep 0.02; done; '


def write_meanwhile(session, state):
    wait_until(session.at.exists)
    session.client.call("session.update", '{"session_id":"a","state":%s}' % state)
    session.go.touch()


def test_what_is_typed_is_written_digit_by_digit(session):
    edit = session.edit(f'cp "$1" {session.folder.parent}/seen; stat -c %a "$1" > {session.folder.parent}/mode; '
                        'sed -i "s/1.10/1.20000000000000000001/" "$1"')
    assert ends(edit, OK).endswith("version 2\n")
    assert session.state() == FIRST.replace("1.10", "1.20000000000000000001")
    assert (session.folder.parent / "seen").read_text() == (
        '{\n  "joints": [1.10, 2],\n  "b": {\n    "x": 1e2,\n    "y": 2\n  },\n  "name": "é"\n}\n')
    assert (session.folder.parent / "mode").read_text() == "600\n" and session.kept() == []
    assert session.redis.pttl("session:a") > 80_000_000, "it had longer to live than an hour"


def test_what_is_not_changed_is_not_written(session):
    assert "nothing to change" in ends(session.edit(":"), OK)
    assert json.loads(session.redis.get("session:a"))["version"] == 1 and session.kept() == []


def test_visual_then_editor_then_what_is_there(session, tmp_path):
    there = tmp_path / "bin"
    there.mkdir()
    (there / "editor").write_text('#!/bin/sh\nsed -i "s/1.10/3/" "$1"\n')
    (there / "editor").chmod(0o755)
    env = {"VISUAL": "", "EDITOR": "sed -i s/1e2/5/", "PATH": f"{there}:{os.environ['PATH']}"}
    assert "version 2" in ends(session.edit(":", env=env), OK)
    env["EDITOR"] = ""
    assert "version 3" in ends(session.edit(":", env=env), OK)
    assert session.state() == '{"joints":[3,2],"b":{"x":5,"y":2},"name":"é"}'


def test_an_editor_that_fails_changes_nothing(session):
    edit = session.edit('echo "{}" > "$1"; exit 3')
    answers(edit, "[e]dit again, or [q]uit?", "q")
    said = ends(edit, FOUND)
    assert "the editor has failed (exit code 3)" in said and session.kept() == ["{}\n"]
    assert re.search(r"nothing was written. Your text is kept in (\S+)", said)[1] == str(next(session.folder.iterdir()))
    assert session.state() == FIRST
    edit = session.edit(":", env={"VISUAL": "no-such-editor-anywhere"})
    answers(edit, "[e]dit again, or [q]uit?", "q")
    assert "there is no editor: set VISUAL or EDITOR" in ends(edit, FOUND)


@pytest.mark.parametrize("text, words", [
    ("{", "this is not the JSON of a session: "), ("", "this is not the JSON of a session: "),
    ("[1]", "expected an object"), ('{"a":1,"a":2}', "this is not the JSON of a session: "),
])
def test_what_is_no_object_may_be_edited_again(session, text, words):
    edit = session.edit('if [ -e %s ]; then echo \'{"x":1}\' > "$1"; else printf %%s \'%s\' > "$1"; touch %s; fi'
                        % ((session.folder.parent / "second"), text, session.folder.parent / "second"))
    answers(edit, "[e]dit again, or [q]uit?", "e")
    said = ends(edit, OK)
    assert words in said and "version 2" in said and session.state() == '{"x":1}'


def test_changes_of_different_members_are_united_and_shown(session):
    edit = session.edit(meanwhile(session) + 'sed -i "s/1e2/7/" "$1"')
    write_meanwhile(session, '{"joints":[1.10,2],"b":{"x":1e2,"y":3},"name":"é","new":"\u202e"}')
    said = ends(edit, OK)
    assert "it has version 2 now, and you began with 1" in said
    assert "the other program: b.y: 2 -> 3" in said and "you: b.x: 1e2 -> 7" in said
    assert 'the other program: new: nothing -> "\\u202e"' in said and "\u202e" not in said
    assert "version 3" in said and session.kept() == []
    assert session.state() == '{"joints":[1.10,2],"b":{"x":7,"y":3},"name":"é","new":"\\u202e"}'


@pytest.mark.parametrize("letter, name", [("m", '"mine"'), ("t", '"theirs"'), ("e", '"again"')])
def test_who_edits_decides_where_both_changed_the_same(session, letter, name):
    second = session.folder.parent / "second"
    edit = session.edit(f'if [ -e {second} ]; then sed -i s/mine/again/ "$1"; exit; fi; touch {second}; '
                        + meanwhile(session) + 'sed -i "s/é/mine/; s/1e2/7/" "$1"')
    write_meanwhile(session, '{"joints":[],"b":{"x":1e2,"y":2},"name":"theirs"}')
    answers(edit, "keep [m]ine, [t]heirs, [e]dit, or [q]uit?", letter)
    said = ends(edit, OK)
    assert 'both: name: "é" -> yours "mine", theirs "theirs"' in said and "version 3" in said
    assert session.state() == '{"joints":[],"b":{"x":7,"y":2},"name":%s}' % name


def test_a_conflict_that_is_given_up_keeps_the_text(session):
    edit = session.edit(meanwhile(session) + 'sed -i "s/é/mine/" "$1"')
    write_meanwhile(session, '{"name":"theirs"}')
    answers(edit, "or [q]uit?", "q")
    assert "nothing was written. Your text is kept in" in ends(edit, REFUSED)
    [text] = session.kept()
    assert '"mine"' in text and session.state() == '{"name":"theirs"}'
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in session.folder.iterdir())


def test_a_session_that_was_deleted_meanwhile_may_be_created_anew(session):
    edit = session.edit(meanwhile(session) + 'sed -i "s/é/mine/" "$1"')
    wait_until(session.at.exists)
    session.client.call("session.delete", session_id="a")
    session.go.touch()
    answers(edit, "[c]reate it anew with your text, or [q]uit?", "c")
    assert "version 1" in ends(edit, OK) and '"name":"mine"' in session.state()


def test_what_cannot_be_edited_is_said_first(session, cell, tmp_path):
    assert "there is no session 'b'; session create makes one" in ends(session.edit(":", "b"), FOUND)
    session.redis.set("session:a", "[]")
    assert "replace_corrupt" in ends(session.edit(":"), REFUSED)
    for args in (["session", "edit", "a"], ["--json", "session", "edit", "a"]):
        done = run(find_ctl(), ["--socket", cell.agent.socket_path, *args], environment(tmp_path / "sanitizer"))
        assert done.returncode == USAGE and "session get and session set --version-is" in done.stderr


def test_the_text_is_kept_when_the_agent_is_away(session, cell):
    edit = session.edit(meanwhile(session) + 'sed -i "s/é/mine/" "$1"')
    wait_until(session.at.exists)
    cell.agent.stop()
    session.go.touch()
    wait_until(lambda: edit.process.poll() is not None)
    edit.thread.join(10)
    assert edit.process.returncode not in (OK, None) and "Your text is kept in" in edit.output
    assert '"mine"' in session.kept()[0]
