"""docs/troubleshooting.md explains every message that a program can print, and none that no program prints any more.

The messages are read from the sources: log lines of level warning and error, errors, complaints, what the agent refuses,
and what the gate answers by HTTP. That each of doctor's findings leads to its section is tested in test_ctl_doctor.py."""

import fnmatch

import pytest

from support import cpp, messages
from support.messages import agreement, explains, is_current

A_RESULT = "is part of a command's result, and says nothing of a fault"
# The files, or the messages, that are not on the page as they are written in the source.
ELSEWHERE = {
    "agent/local_api.cc: deadline_ms of client.hello": "is a METHOD of 'METHOD needs the right'",
    "config/*": "say what would be right in a line of the configuration: the page has the kinds, under Configuration",
    "probe/dbus_message.cc": "says what a probe has seen, behind 'probe NAME (TYPE) is down:'",
    "probe/http_*.cc": "say what a probe has seen, as above",
    "probe/process_look.cc": "says what a probe has seen, as above",
    "probe/system_bus.cc": "says what a probe has seen, as above",
    "redis_admin/store_files.cc": "says what would be right for an option, behind OPTION 'VALUE': it is",
    "redis_admin/forms.cc": "names an answer of Redis within another message",
    "ctl/doctor_rules.cc: *, owner *, group *, mode *": A_RESULT,
    "ctl/event_line.cc": A_RESULT,
    "ctl/agent_link.cc: the *": "is a part of 'stored, but Redis refused WHAT: WORDS'",
    "ctl/fleet.cc": A_RESULT,
    "ctl/look_commands.cc": A_RESULT,
    "ctl/top_screen.cc": A_RESULT,
    "ctl/top_view.cc": A_RESULT,
    "gate/readiness.cc": A_RESULT,
    "ctl/check_config.cc: /etc/nodebeat/*.toml": "is a path",
    "ctl/mcp_config.cc: *TOKEN stands for*": A_RESULT,
    "ctl/mcp_config.cc: *The service serves it*": A_RESULT,
    "ctl/mcp_config.cc: *The user of the client*": A_RESULT,
    "ctl/mcp_config.cc: BatchMode=yes": "is an option of ssh",
    "ctl/push.cc: robot.update": "is a method",
    "ctl/watch.cc: these were all: *": A_RESULT,
    "ctl/write_commands.cc: * subscriber* in Redis": A_RESULT,
    "ctl/cell_reader.cc: there is no such progress": "is said to top, which shows a dash then",
    "redis_admin/rules.cc: * PINGs: median *": A_RESULT,
    "redis_admin/setup.cc: *Then: nodebeatctl redis check*": A_RESULT,
}


@pytest.fixture(scope="module")
def said():
    """The messages of each source."""
    files = sorted(messages.SOURCES.rglob("*.cc"))
    return {str(path.relative_to(messages.SOURCES)): messages.in_source(path) for path in files}


@pytest.fixture(scope="module")
def entries():
    return messages.entries()


@pytest.fixture(scope="module")
def found_by_checks():
    files = sorted(messages.SOURCES.rglob("*.cc"))
    return {str(path.relative_to(messages.SOURCES)): messages.findings_in_source(path) for path in files}


def shown(file, message):
    return f"{file}: {message.replace(cpp.WILD, '*')}"


def exceptions(file, message):
    return [name for name in ELSEWHERE if fnmatch.fnmatchcase(file, name) or fnmatch.fnmatchcase(shown(file, message), name)]


def test_each_message_is_explained(said, entries):
    all_messages = [(file, message) for file, found in said.items() for message in found]
    assert len(all_messages) > 300 and len({file.partition("/")[0] for file, _ in all_messages}) > 12
    missing = [shown(*one) for one in all_messages
               if not exceptions(*one) and not any(explains(entry, one[1]) for entry in entries)]
    assert missing == []


def test_each_finding_is_explained(found_by_checks, entries):
    """Of which the page may leave out the end: a finding has its advice with it."""
    findings = [(file, finding) for file, found in found_by_checks.items() for finding in found]
    assert len(findings) > 50
    missing = [shown(*one) for one in findings if not any(explains(f"{entry} ...", one[1]) for entry in entries)]
    assert missing == []


def test_each_entry_is_said_by_a_program(said, found_by_checks, entries):
    assert len(entries) > 300
    every = [message for found in (*said.values(), *found_by_checks.values()) for message in found]
    literals = messages.literals()
    assert [entry for entry in entries if not is_current(entry, every, literals)] == []


def test_each_exception_is_needed(said, entries):
    used = {name for file, found in said.items() for message in found for name in exceptions(file, message)
            if not any(explains(entry, message) for entry in entries)}
    assert set(ELSEWHERE) - used == set()


# --- how messages are read and compared ------------------------------------------------------------


@pytest.mark.parametrize("source, expected", [
    ('log_.error("redis %s: gone (%d)", name, 1);', ["redis *: gone (*)"]),
    ('log_.warning(LogAbout(pid), "client %s"\n    " is slow", name);', ["client * is slow"]),
    ('parts_.log.error("one more");', ["one more"]),
    ('log_.every(LogLevel::warning, "is it so, %s?", x);', ["is it so, *?"]),
    ('log_.every(LogLevel::info, "all is well"); log_.notice("all is well");', []),
    ('return make_error("%s: %s", a, b);', []),
    ('log_.error("%" PRIu64 " entries are lost", n); // log_.error("no line")', ["* entries are lost"]),
    ('fail("no \\"room\\": " + name(x, "a, b"));', ['no "room": *']),
    ('fail(a ? b ? "one way" : "two ways" : "nb::x ways");', ["nb::x ways", "one way", "two ways"]),
    ('std::fprintf(stderr, "nodebeatd: no %s here\\n", x);', ["no * here"]),
    ('send({.status = 403, .body = "go away\\n", .type = "text/plain"});', ["go away"]),
])
def test_messages_are_found_in_a_source(tmp_path, source, expected):
    path = tmp_path / "source.cc"
    path.write_text(source)
    assert [message.replace(cpp.WILD, "*") for message in messages.in_source(path)] == expected


def test_entries_are_found_on_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# T\n\nSee `no message` here.\n\n| message | meaning |\n| --- | --- |\n| `a b`, ``c `d` `` | `e f` |\n\n"
                    "- `g h`, and `i\n  j`: what\n- `k l` is none\n\n`m n` (see below): it is.\n")
    assert messages.entries(page) == ["a b", "c `d`", "g h", "i j", "m n"]


@pytest.mark.parametrize("entry, message, does", [
    ("PATH is in use by N programs", "* is in use by * programs", True),
    ("PATH is in use by N programs", "* is in use by * persons", False),
    ("PATH is in use by N programs", "* is in use by * programs: end them", False),
    ("PATH is in use by N programs: ...", "* is in use by * programs: end them", True),
    ("--file: PATH is empty of all words", "*: * is empty of all words", True),
    ("the server cannot save: WHY", "* cannot be read today: *", False),
    ("...: slow", "sorted by *, reversed", False),
    ("line N: not an object", "not an object", True),
])
def test_an_entry_explains_a_message(entry, message, does):
    assert explains(entry, message.replace("*", cpp.WILD)) == does


def test_an_entry_of_words_that_nobody_says_is_found(said):
    every, literals = [message for found in said.values() for message in found], messages.literals()
    assert is_current("PATH is in use: another process listens on it", every, literals)
    assert not is_current("PATH is in use: another process sleeps on it", every, literals)
    assert agreement("PATH is in use", "nothing of the kind") < 0
