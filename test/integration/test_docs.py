"""The documentation is true: each link leads somewhere, and each block of commands or code runs.

The blocks of a page run in their order and in one folder, on a node named hog whose robot has told something. A block
that begins with the name of a file is that file. Blocks of sh, python, c and toml count; others are what is printed.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import pytest
from support import markdown, python_package
from support.agent import ROOT

RUN = ("sh", "python", "c", "toml")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_each_link_leads_somewhere():
    broken = {str(page.relative_to(ROOT)): markdown.broken_links(page) for page in markdown.pages()}
    assert len(broken) > 10, "pages are found"
    assert {page: targets for page, targets in broken.items() if targets} == {}


def test_each_page_of_docs_is_reached_from_the_readme():
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in markdown.links(ROOT / "README.md")}
    missing = [page.name for page in (ROOT / "docs").glob("*.md") if page not in linked]
    assert missing == []


@pytest.mark.parametrize("text, expected", [
    ("# One\n[a](#one) [b](#two)", ["#two"]),
    ("# A `b` (c), d\n[a](#a-b-c-d)", []),
    ("[a](nothing.md)", ["nothing.md"]),
    ("```sh\n[a](nothing.md)\n```\n`[a](nothing.md)`", []),
    ("# One\n# One\n[a](#one-1) [b](https://example.org/#x)", []),
])
def test_links_are_found(tmp_path, monkeypatch, text, expected):
    monkeypatch.setattr(markdown, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(text + "\n")
    assert markdown.broken_links(page) == expected


@pytest.fixture
def hog(redis_server, make_agent, steady):
    """A node whose robot has told its state and runs a stroke session."""
    agent = make_agent(redis_server.url(), node="hog")
    client = steady(agent)
    client.call("robot.update", is_connected_l=True, joints_l=[0.1, 0.2], current_pose="ready", ack="stored")
    client.call("stroke.start", total_strokes=3, scene_name="portrait", stroke_length=8, ack="stored")
    client.call("stroke.update", stroke_idx=1, pose_idx=2, ack="stored")
    client.call("error.report", category="robot", message="no air", ack="stored")
    return agent, redis_server


@pytest.fixture
def folder():
    """A short path: some blocks make sockets in it."""
    with tempfile.TemporaryDirectory(prefix="nb", dir="/tmp") as name:
        yield pathlib.Path(name)


@pytest.fixture
def run(hog, plain_program, folder):
    """run(command, input): in the page's folder, with what was built and the node at hand; its output. Programs that a
    page makes are linked with what was built without sanitizers."""
    agent, server = hog
    build = plain_program.parents[2]
    tools = [build / "src" / name for name in ("agent", "ctl", "gate", "audit")]
    env = python_package.environment(
        NODEBEAT_SOCKET=agent.socket_path,
        REDIS_URL=f"redis://127.0.0.1:{server.port}",
        PATH=":".join([*map(str, tools), os.environ["PATH"]]),
        PKG_CONFIG_PATH=build / "meson-uninstalled",
        LD_LIBRARY_PATH=build / "src" / "client",
        HOME=folder,
    )

    def start(*command, **options):
        done = subprocess.run(command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, **options)
        assert done.returncode == 0, f"{command[0]} has ended with {done.returncode}: {done.stdout}"
        return done.stdout

    start.folder = folder
    return start


def run_block(run, block):
    if block.name:
        (run.folder / block.name).write_text(block.text)
        if block.language == "python":
            compile(block.text, block.name, "exec")
    if block.language == "sh":
        run("bash", "-euo", "pipefail", "-c", block.text, stdin=subprocess.DEVNULL)
    elif block.language == "toml":
        file = run.folder / "checked.toml"
        password = run.folder / "redis-password"
        password.write_text("secret")
        file.write_text(block.text.replace("/etc/nodebeat/redis-password", str(password)))
        run("nodebeatd", "--check-config", "--config", str(file), stdin=subprocess.DEVNULL)
    elif block.language == "c":
        run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-xc", "-", f"-I{ROOT / 'include'}",
            input=block.text)
    elif not block.name:
        run(sys.executable, "-", input=block.text)


def test_who_pastes_a_block_finds_the_daemon():
    """Debian's PATH has /usr/sbin for root only, and a block is what a person pastes."""
    found = {}
    for page in PAGES:
        text = "".join(block.text for block in markdown.split(page)[1] if block.language == "sh")
        before, daemon, _ = text.partition("nodebeatd ")
        if daemon:
            found[page.name] = "PATH=$PATH:/usr/sbin" in before
    assert found and all(found.values()), found


@pytest.mark.own_users("its readers log in by a URL without a password")
@pytest.mark.real_processor("the compiler makes programs for this one")
@pytest.mark.time_limit(180)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_block_runs(request, page):
    if not page.exists():
        pytest.skip(f"there is no {page.name}")
    _, blocks = markdown.split(page)
    assert all(block.language for block in blocks), "what a block holds is said"
    blocks = [block for block in blocks if block.language in RUN and block.why_not is None]
    if blocks:
        run = request.getfixturevalue("run")
        for block in blocks:
            try:
                run_block(run, block)
            except AssertionError as error:
                pytest.fail(f"{page.name}, line {block.line}: {error}")


# As much of ROS 2 as the reader uses: a timer that fires once, and a topic that is printed.
ROS = {
    "rclpy.py": """
from types import SimpleNamespace as Some
made = []
class Node:
    def create_publisher(self, kind, topic, depth):
        return Some(publish=lambda array: [print(topic, s.level, s.name, s.message, len(s.values)) for s in array.status])
    def create_timer(self, period, callback): made.append(callback)
    def get_clock(self): return Some(now=lambda: Some(to_msg=lambda: 0))
def init(): pass
def create_node(name): return Node()
def spin(node): made[0]()
""",
    "diagnostic_msgs/msg.py": """
from types import SimpleNamespace as Some
class DiagnosticArray:
    def __init__(self): self.header, self.status = Some(), []
class DiagnosticStatus(Some):
    OK, ERROR = b"\\0", b"\\2"
class KeyValue(Some): pass
""",
}


@pytest.mark.own_users("it logs in by a URL without a password")
def test_the_ros_reader_publishes_the_health_of_all_nodes(run):
    for name, text in ROS.items():
        (run.folder / name).parent.mkdir(exist_ok=True)
        (run.folder / name).write_text(text)
    reader = next(b for b in markdown.split(ROOT / "docs" / "schema.md")[1] if b.name == "ros2_health.py")
    (run.folder / reader.name).write_text(reader.text)
    printed = run(sys.executable, reader.name)
    assert printed.startswith("/diagnostics b'\\x00' nodebeat: hog up ")


def test_named_metrics_exist():
    """Of the pages; that those of the dashboard exist is tested beside it."""
    known = set(re.findall(r"nodebeat_\w+", (ROOT / "config" / "prometheus" / "dashboard.json").read_text()))
    named = {name for page in PAGES for name in re.findall(r"nodebeat_(?:node|link|cpu|memory|disk)_\w+", page.read_text())}
    assert named and named <= known


def test_each_key_that_is_written_is_in_the_schema():
    """As PROTOCOL.md lists what bounds each key (4.4.1)."""
    text = (ROOT / "include" / "nodebeat" / "PROTOCOL.md").read_text()
    table = text[text.index("4.4.1. **What bounds"):text.index("\n4.5. ")]
    keys = {key for row in re.findall(r"^\| (`[^|]+) \|", table, re.M) for key in re.findall(r"`([^`]+)`", row)}
    schema = (ROOT / "docs" / "schema.md").read_text()
    assert len(keys) > 15
    assert {key for key in keys - {"state.set"} if f"`{key}`" not in schema} == set()


@pytest.mark.own_users("it logs in by a URL without a password")
def test_each_member_that_is_written_is_in_the_schema(hog):
    _, server = hog
    store = server.client()
    schema = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "schema.md").read_text()))
    session = store.hget("nodebeat:strokes", "hog")
    written = [("node:health:hog", "health"), ("robot:state:hog", "state"), (f"stroke:progress:{session}", "progress")]
    for key, field in written:
        members = json.loads(store.hget(key, field)).keys()
        assert len(members) > 10 and members <= schema, (key, members - schema)
