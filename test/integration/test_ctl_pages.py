"""nodebeatctl: completion in the shells, and the man pages."""

import os
import re
import shutil
import subprocess

import pytest

from support.agent import ROOT
from support.ctl_fixtures import CTL, ctl, ctl_env, fake, follow, socket_path  # noqa: F401

COMMANDS = (
    "status nodes forget top doctor watch get set delete list session bus publish push stroke call redis mcp-config completion"
).split()


def complete_in_bash(line, ctl_env, script):
    """What bash would offer at the end of `line`, words split as bash does."""
    program = f"""
        source {script}
        COMP_LINE={line!r} COMP_POINT={len(line)}
        read -ra COMP_WORDS <<<"$COMP_LINE"
        [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        compopt() {{ :; }}
        _nodebeatctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-u", "-c", program],
        env=ctl_env(PATH=f"{CTL.parent}:/usr/bin:/bin"),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout.split()


def test_completion_in_bash(ctl, ctl_env, fake, tmp_path):
    script = tmp_path / "completion.bash"
    script.write_text(ctl("completion", "bash").stdout)
    keys = ("recipe:a", "recipe:b", "tool")
    fake.answers["state.list"] = lambda params: {
        "keys": [key for key in keys if key.startswith(params.get("prefix", ""))], "cursor": None
    }

    def offers(line):
        return complete_in_bash(line, ctl_env, script)

    assert offers("nodebeatctl ") == COMMANDS
    assert offers("nodebeatctl st") == ["status", "stroke"]
    assert offers("nodebeatctl redis ") == ["setup", "check"]
    assert {"--dir", "--bind", "--force", "--json"} <= set(offers("nodebeatctl redis setup --"))
    assert offers("nodebeatctl redis setup --server ") == ["redis", "valkey"]
    assert offers("nodebeatctl redis check --password-file ") == []
    assert offers("nodebeatctl stroke ") == ["start", "update", "end"]
    assert offers("nodebeatctl --js") == ["--json"]
    assert {"--pose", "--json", "--socket"} <= set(offers("nodebeatctl stroke update --"))
    assert offers("nodebeatctl get r") == ["recipe:a", "recipe:b"]
    assert offers("nodebeatctl --json get t") == ["tool"]
    assert offers("nodebeatctl call agent.") == ["agent.config", "agent.stats"]
    assert offers("nodebeatctl completion ") == ["bash", "zsh", "fish"]
    assert offers("nodebeatctl get k ") == []


def test_completion_without_an_agent_is_quiet(ctl_env, ctl, tmp_path):
    script = tmp_path / "completion.bash"
    script.write_text(ctl("completion", "bash").stdout)
    assert complete_in_bash("nodebeatctl get x", ctl_env, script) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_what_is_installed(ctl, shell, tmp_path):
    name = {"bash": "nodebeatctl", "zsh": "_nodebeatctl", "fish": "nodebeatctl.fish"}[shell]
    script = ctl("completion", shell).stdout
    assert script == (ROOT / "src/ctl/completion" / name).read_text()
    if shutil.which(shell):
        path = tmp_path / name
        path.write_text(script)
        done = subprocess.run([shell, "-n", path], capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == ""


def test_completion_in_fish(ctl, ctl_env):
    if not shutil.which("fish"):
        pytest.skip("no fish here")
    program = "nodebeatctl completion fish | source; complete -C 'nodebeatctl st'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", program],
        env=ctl_env(PATH=f"{CTL.parent}:/usr/bin:/bin"),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["status", "stroke"], done


def pages():
    built = sorted(CTL.parents[2].glob("src/agent/nodebeat.toml.5"))
    return [*ROOT.glob("src/*/man/*.[1-8]"), *built]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_man_pages_are_well_formed(page):
    checked = []
    if shutil.which("mandoc"):
        lint = ["mandoc", "-Tlint", "-Wwarning", page]
        done = subprocess.run(lint, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        checked.append("mandoc")
    if shutil.which("man"):
        done = subprocess.run(
            ["man", "--warnings", "-l", page],
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
        )
        assert done.returncode == 0 and done.stderr == ""
        assert "NAME" in done.stdout
        checked.append("man")
    if not checked:
        pytest.skip("neither man nor mandoc here")


def rendered(page):
    done = subprocess.run(
        ["man", "-Tascii", "-l", page],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
    )
    assert done.returncode == 0, done.stderr
    return re.sub(".\b", "", done.stdout).splitlines()


@pytest.mark.time_limit(60)
@pytest.mark.skipif(not shutil.which("man"), reason="there is no man here")
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_man_pages_break_no_name_and_leave_no_heading_alone(page):
    """A name that is broken cannot be found or copied; a heading, or a colon, announces something."""
    lines = rendered(page)
    assert not [line for line in lines if re.search(r"\w-$", line)]
    said = [line for line in lines if line.strip()]
    for line, following in zip(said[1:], said[2:]):
        depth, after = (len(text) - len(text.lstrip()) for text in (line, following))
        # Sections and their parts are at 0 and 3, text at 5 and deeper.
        assert depth > 3 or after > depth, f"nothing under {line!r}"
        assert not line.endswith(":") or after >= depth, f"nothing behind {line!r}"
    assert max(map(len, lines)) <= 80


def test_man_pages_refer_to_pages_that_are_there():
    names = {(page.name.rsplit(".", 1)[0], page.name[-1]) for page in pages()}
    referred = {(name.replace("\\", ""), section) for page in pages()
                for name, section in re.findall(r"^\.(?:It )?Xr (\S*nodebeat\S*) (\d)", page.read_text(), re.M)}
    assert len(referred) >= 7 and referred <= names


def test_the_example_of_libnodebeat_compiles_as_it_stands(tmp_path):
    page = (ROOT / "src/client/man/libnodebeat.3").read_text()
    program = page.split(".Bd -literal -offset indent\n#include", 1)[1].split(".Ed", 1)[0].replace("\\e", "\\")
    source = tmp_path / "robot.c"
    source.write_text("#include" + program)
    done = subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only",
                           f"-I{ROOT}/include", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_man_page_names_every_command_and_flag(ctl):
    page = (ROOT / "src/ctl/man/nodebeatctl.1").read_text().replace("\\-", "-")
    for command in COMMANDS:
        assert re.search(rf"^\.It Cm {command}\b", page, re.MULTILINE), command
        flags = set(re.findall(r"--([a-z-]+)", ctl(command, "--help").stdout))
        if command != "stroke":
            assert all(f"-{flag}" in page for flag in flags - {"help"}), (command, flags)
