"""The Debian packages in a clean tree: installed, upgraded, removed, purged, as apt and dpkg do it.

In $NODEBEAT_TEST_TREE lies a small Debian with the libraries that the packages depend on; in
$NODEBEAT_TEST_PACKAGES the packages. Each test has a copy of the tree, which costs an overlay, and
works in it by chroot: what starts and stops a service is shown by test/boot, with a real systemd.
Here a script stands for systemctl, and notes what it was asked."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "/etc/nodebeat/nodebeat.toml"
OWN = "/etc/nodebeat/nodebeat.d/cell.toml"
# systemd-sysusers locks them, and keeps a copy of each that it changes.
ACCOUNTS = r"/etc/((passwd|group|shadow|gshadow)-?|\.pwd\.lock)$"
OURS = ["nodebeat", "nodebeat-tools", "nodebeat-audit", "nodebeat-gate", "libnodebeat0", "libnodebeat-dev", "python3-nodebeat"]

SYSTEMCTL = """#!/bin/sh
echo "$*" >>/systemctl.log
case "$*" in
  *is-active*) test -e /is-active ;;
  *list-units*nodebeat@*) cat /instances 2>/dev/null ;;
  *show*Environment*) cat /unit-environment 2>/dev/null ;;
  *preset*)
    mkdir -p /etc/systemd/system/multi-user.target.wants
    ln -s /lib/systemd/system/nodebeat.service /etc/systemd/system/multi-user.target.wants/ ;;
esac
"""

# deb-systemd-invoke would ask it for states in many ways: what counts is that it was called.
INVOKE = """#!/bin/sh
echo "invoke $*" >>/systemctl.log
"""


class Tree:
    def __init__(self, root):
        self.root = root

    def path(self, name):
        return Path(f"{self.root}{name}")

    def run(self, *command, check=True, variables=None):
        done = subprocess.run(
            ["chroot", self.root, *command],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
                 "LC_ALL": "C.UTF-8", **(variables or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    def install(self, *files, **options):
        for file in files:
            shutil.copy(file, self.path("/tmp"))
        # A question would be one too many: there is nobody to answer it, so dpkg would fail.
        return self.run("dpkg", "-i", *(f"/tmp/{Path(f).name}" for f in files), **options)

    def boot(self):
        """From here on the maintainer scripts think that systemd runs."""
        self.path("/run/systemd/system").mkdir(parents=True)
        for name, text in (("systemctl", SYSTEMCTL), ("deb-systemd-invoke", INVOKE)):
            self.path(f"/usr/bin/{name}").unlink(missing_ok=True)
            self.path(f"/usr/bin/{name}").write_text(text)
            self.path(f"/usr/bin/{name}").chmod(0o755)

    def asked(self):
        log = self.path("/systemctl.log")
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def is_enabled(self):
        return self.path("/etc/systemd/system/multi-user.target.wants/nodebeat.service").is_symlink()

    def enable(self, unit="nodebeat.service"):
        """As the administrator, in an offline system."""
        wants = self.path("/etc/systemd/system/multi-user.target.wants")
        wants.mkdir(exist_ok=True)
        (wants / unit).symlink_to("/lib/systemd/system/" + re.sub("@.*[.]", "@.", unit))

    def files(self):
        """What is there, without dpkg's own notes, logs and what is made as a cache."""
        found = set()
        for folder, folders, names in os.walk(self.root):
            inside = folder[len(str(self.root)):] or "/"
            if re.match(r"/(proc|sys|dev|tmp|run/systemd|var/(lib/dpkg|log|cache))(/|$)", inside):
                folders.clear()
                continue
            found.update(f"{inside.rstrip('/')}/{name}" for name in names + folders)
        return found - {"/systemctl.log"}


@pytest.fixture(scope="session")
def packages():
    folder = Path(os.environ["NODEBEAT_TEST_PACKAGES"])
    arches = {"python3-nodebeat": "all"}
    found = {name: sorted(folder.glob(f"{name}_*_{arches.get(name, os.environ['NODEBEAT_TEST_ARCH'])}.deb")) for name in OURS}
    assert all(len(files) == 1 for files in found.values()), f"one of each is wanted in {folder}: {found}"
    return {name: files[0] for name, files in found.items()}


def made_anew(file, folder, version, files):
    """The package with another version, and with further files of configuration."""
    unpacked = folder / "unpacked"
    subprocess.run(["dpkg-deb", "-R", file, unpacked], check=True)
    control = unpacked / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: (.*)$", lambda found: "Version: " + version(found[1]), control.read_text(), flags=re.M))
    conffiles = unpacked / "DEBIAN" / "conffiles"
    names = conffiles.read_text().splitlines() if conffiles.exists() else []
    for name, text in files.items():
        path = Path(f"{unpacked}{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    conffiles.write_text("".join(f"{name}\n" for name in dict.fromkeys([*names, *files])))
    made = folder / file.name
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-b", unpacked, made], check=True,
                   stdout=subprocess.DEVNULL)
    return made


@pytest.fixture(scope="session")
def newer(packages, tmp_path_factory):
    """The package of the agent as its next version, whose shipped configuration has changed."""
    shipped = (ROOT / "config" / "nodebeat.d" / "README").read_text()
    return made_anew(packages["nodebeat"], tmp_path_factory.mktemp("newer"), "{}+next".format,
                     {"/etc/nodebeat/nodebeat.d/README": shipped + "A line that the next version has.\n"})


# The packages up to 0.1.0 had these as conffiles, with every key in them.
OLD_CONFFILES = {
    "nodebeat": (CONFIG, ROOT / "config" / "nodebeat.toml"),
    "nodebeat-audit": ("/etc/nodebeat-audit/audit.toml", ROOT / "config" / "audit.toml"),
    "nodebeat-gate": ("/etc/default/nodebeat-gate", 'OPTIONS=""\n'),
}


@pytest.fixture(scope="session")
def older(packages, tmp_path_factory):
    """The packages whose configuration everybody had to edit, as their versions before."""
    return {name: made_anew(packages[name], tmp_path_factory.mktemp(name), "{}~before".format,
                            {file: text if isinstance(text, str) else text.read_text()})
            for name, (file, text) in OLD_CONFFILES.items()}


@pytest.fixture
def tree(tmp_path):
    base = os.environ["NODEBEAT_TEST_TREE"]
    # Not in the temporary folder itself: an overlay cannot lie on an overlay.
    subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path], check=True)
    for name in ("upper", "work", "root"):
        (tmp_path / name).mkdir()
    options = f"lowerdir={base},upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    root = tmp_path / "root"
    # In a namespace of users no folder of an overlay can be renamed: dpkg needs that.
    command = ["mount", "-t", "overlay", "overlay", "-o", options, root]
    if "4294967295" not in Path("/proc/self/uid_map").read_text():
        command = ["sh", "-c", 'cp -a "$0" "$1" && mount --bind "$1" "$1"', f"{base}/.", root]
    try:
        subprocess.run(command, check=True)
        try:
            subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
            yield Tree(root)
        finally:
            subprocess.run(["umount", "--recursive", root], check=True)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def name_a_redis(tree):
    tree.path(OWN).write_text('[redis]\nurl = "redis://hog.local:6379/0"\n')


def test_everything_installs_and_runs(tree, packages):
    tree.install(*packages.values())
    version = packages["nodebeat"].name.split("_")[1]
    assert version in tree.run("nodebeatd", "--version")
    assert version in tree.run("nodebeatctl", "--version")
    assert tree.run("nodebeatd", "--check-config") is not None
    assert "nodebeat" in tree.path("/etc/passwd").read_text(), "the user that the unit runs as"
    for name in ("nodebeat-tools/examples/nodebeat.toml", "nodebeat-audit/examples/audit.toml", "nodebeat/examples/hog.toml"):
        assert tree.path(f"/usr/share/doc/{name}").exists()
    for page in ("man8/nodebeatd.8.gz", "man5/nodebeat.toml.5.gz", "man1/nodebeatctl.1.gz",
                 "man7/nodebeat.7.gz", "man3/libnodebeat.3.gz"):
        assert tree.path(f"/usr/share/man/{page}").exists()


def test_without_systemd_nothing_is_started(tree, packages):
    """As in a container or an image that is being made."""
    said = tree.install(packages["nodebeat"])
    assert "no Redis is named yet" in said and OWN in said and "systemctl enable --now nodebeat" in said
    assert not tree.is_enabled()


def test_what_a_fresh_installation_says_works_as_it_is_said(tree, packages):
    said = tree.install(packages["nodebeat"])
    command = re.search(r"^ +(echo .*)$", said, re.M)[1]
    tree.run("sh", "-c", command)
    assert f'url = "redis://hog.local:6379/0"' in tree.run("nodebeatd", "--print-config")
    assert f"# from {OWN}:1" in tree.run("nodebeatd", "--print-config")


def test_a_fresh_installation_names_the_group_and_the_tools(tree, packages, newer):
    said = tree.install(packages["nodebeat"])
    assert "usermod -aG nodebeat USER\n" in said and "nodebeatctl is in the package nodebeat-tools" in said
    assert "usermod" not in tree.install(newer), "an upgrade tells nothing that is known"


def test_with_the_tools_there_nothing_is_said_of_them(tree, packages):
    tree.install(packages["libnodebeat0"], packages["nodebeat-tools"])
    said = tree.install(packages["nodebeat"])
    assert "usermod -aG nodebeat USER\n" in said and "nodebeat-tools" not in said


def test_one_line_installs_agent_and_tools(tree, packages):
    """The line of the documentation, by apt, which fetches nothing: what they need is in the tree."""
    [line] = re.findall(r"^sudo (apt install .*nodebeat-tools.*)$", (ROOT / "docs/installation.md").read_text(), re.M)
    folder = tree.path("/root/packages")
    folder.mkdir()
    for file in packages.values():
        shutil.copy(file, folder)
    tree.run("sh", "-c", f"cd /root/packages && {line.replace('apt install', 'apt-get install -y')}")
    assert tree.run("nodebeatctl", "--version") and tree.run("nodebeatd", "--version")


def test_the_sockets_folder_is_there_and_the_agents(tree, packages):
    """Also before the agent has ever run: nodebeat.socket would make it root's."""
    tree.install(packages["nodebeat"])
    agent = tree.run("id", "-u", "nodebeat").strip()
    assert tree.run("stat", "-c", "%F %u %a", "/run/nodebeat") == f"directory {agent} 755\n"


def test_a_fresh_installation_says_what_to_fill_in(tree, packages):
    tree.boot()
    said = tree.install(packages["nodebeat"])
    assert "no Redis is named yet" in said and "systemctl enable --now nodebeat" in said
    assert not tree.is_enabled(), "the next boot would start it"
    assert not [line for line in tree.asked() if line.startswith("invoke")]


def test_a_configuration_that_is_there_already_is_kept_and_started(tree, packages):
    """As an image of a robot's computer has it."""
    tree.boot()
    tree.path("/etc/nodebeat").mkdir()
    tree.path(CONFIG).write_text('[redis]\nurl = "redis://hog.local"\n')
    said = tree.install(packages["nodebeat"])
    assert "invoke restart nodebeat.service" in tree.asked()
    assert "no Redis" not in said
    assert tree.is_enabled()
    assert "hog.local" in tree.path(CONFIG).read_text()


def test_an_image_that_has_a_configuration_starts_it_at_its_first_boot(tree, packages):
    """While it is made no systemd runs in it."""
    tree.path("/etc/nodebeat").mkdir()
    tree.path(CONFIG).write_text('[redis]\nurl = "redis://hog.local"\n')
    assert "no Redis" not in tree.install(packages["nodebeat"])
    assert tree.is_enabled()


def test_the_address_of_a_probe_is_not_that_of_redis(tree, packages):
    tree.path("/etc/nodebeat").mkdir()
    tree.path(CONFIG).write_text('[[probe]]\nname = "web"\ntype = "http"\nurl = "http://127.0.0.1:8080/"\n')
    assert "no Redis is named yet" in tree.install(packages["nodebeat"])
    assert not tree.is_enabled()


def test_the_settings_of_who_installs_it_are_not_the_services(tree, packages):
    said = tree.install(packages["nodebeat"], variables={"NODEBEAT_REDIS_URL": "redis://hog.local"})
    assert "no Redis is named yet" in said
    assert not tree.is_enabled()


def test_an_address_in_the_environment_of_the_unit_counts(tree, packages):
    tree.boot()
    tree.path("/unit-environment").write_text("Environment=NODEBEAT_REDIS_URL=redis://hog.local\n")
    assert "no Redis" not in tree.install(packages["nodebeat"])
    assert "invoke restart nodebeat.service" in tree.asked()


def test_a_wrong_configuration_is_named_and_nothing_started(tree, packages):
    tree.boot()
    tree.path("/etc/nodebeat").mkdir()
    tree.path(CONFIG).write_text('[redis]\nurk = "redis://hog.local"\n')
    said = tree.install(packages["nodebeat"])
    assert f"{CONFIG}:2" in said and "systemctl enable --now nodebeat.service" in said
    assert not tree.is_enabled()
    assert not [line for line in tree.asked() if line.startswith("invoke")]


def test_an_upgrade_keeps_the_configuration_and_restarts(tree, packages, newer):
    tree.install(packages["nodebeat"])
    name_a_redis(tree)
    before = tree.path(OWN).read_text()
    tree.boot()
    tree.install(newer)
    assert "+next" in tree.run("dpkg-query", "-W", "nodebeat")
    assert tree.path(OWN).read_text() == before
    asked = tree.asked()
    assert "--system daemon-reload" in asked
    assert [line for line in asked if line.startswith("invoke")] == ["invoke restart nodebeat.service"]


def test_an_upgrade_neither_enables_nor_disables(tree, packages, newer):
    tree.install(packages["nodebeat"])
    name_a_redis(tree)
    tree.boot()
    tree.install(newer)
    assert not tree.is_enabled(), "nobody has asked for it"
    tree.enable()
    tree.install(newer)
    assert tree.is_enabled()


def test_an_upgrade_brings_the_new_file_since_nobody_has_to_edit_it(tree, packages, newer):
    tree.install(packages["nodebeat"])
    name_a_redis(tree)
    tree.install(newer)
    assert "A line that the next version has." in tree.path("/etc/nodebeat/nodebeat.d/README").read_text()


def test_an_upgrade_from_a_file_that_somebody_has_edited_asks_nothing_and_keeps_it(tree, packages, older):
    tree.install(older["nodebeat"])
    text = tree.path(CONFIG).read_text()
    edited = re.sub(r"^#url = .*$", 'url = "redis://hog.local:6379/0"', text, count=1, flags=re.M)
    assert edited != text
    tree.path(CONFIG).write_text(edited)
    tree.boot()
    assert "***" not in tree.install(packages["nodebeat"]), "dpkg has asked"
    assert tree.path(CONFIG).read_text() == edited
    assert f'redis://hog.local:6379/0"' in tree.run("nodebeatd", "--print-config")
    assert re.search(rf"^url = .*# from {CONFIG}:\d+$", tree.run("nodebeatd", "--print-config"), re.M)
    assert "invoke restart nodebeat.service" in tree.asked()
    # A file beside it goes over it.
    tree.path(OWN).write_text('redis.url = "redis://ook.local"\n')
    assert f"# from {OWN}:1" in tree.run("nodebeatd", "--print-config")


@pytest.mark.parametrize("name", OLD_CONFFILES)
def test_an_upgrade_takes_a_file_away_that_nobody_has_edited(tree, packages, older, name):
    beside = [packages["nodebeat"]] if name == "nodebeat-gate" else []
    tree.install(*beside, older[name])
    file = tree.path(OLD_CONFFILES[name][0])
    assert file.exists()
    tree.install(packages[name])
    assert not file.exists()


@pytest.mark.parametrize("name", OLD_CONFFILES)
def test_an_upgrade_keeps_a_file_that_somebody_has_edited(tree, packages, older, name):
    beside = [packages["nodebeat"]] if name == "nodebeat-gate" else []
    tree.install(*beside, older[name])
    file = tree.path(OLD_CONFFILES[name][0])
    with file.open("a") as of:
        of.write("# a line of somebody's\n")
    before = file.read_text()
    tree.install(packages[name])
    assert file.read_text() == before
    tree.run("dpkg", "--purge", name)
    assert not file.exists()


def test_an_upgrade_leaves_a_running_agent_whose_configuration_is_now_wrong(tree, packages, newer):
    tree.install(packages["nodebeat"])
    tree.path(CONFIG).write_text("[heart]\nbeat = 1\n")
    tree.boot()
    tree.path("/is-active").touch()
    said = tree.install(newer)
    assert "left as it is" in said and "systemctl restart nodebeat.service" in said
    assert not [line for line in tree.asked() if line.startswith("invoke")]


def test_an_upgrade_leaves_a_running_agent_that_could_not_read_its_password(tree, packages, newer):
    """As root it could: `nodebeatctl redis setup` leaves such a file."""
    tree.install(packages["nodebeat"])
    tree.path("/etc/nodebeat/password").write_text("secret\n")
    tree.path("/etc/nodebeat/password").chmod(0o600)
    tree.path(CONFIG).write_text(
        '[redis]\nurl = "redis://hog.local"\nusername = "x"\npassword_file = "/etc/nodebeat/password"\n')
    tree.boot()
    tree.path("/is-active").touch()
    said = tree.install(newer)
    assert "/etc/nodebeat/password" in said and "left as it is" in said
    assert not [line for line in tree.asked() if line.startswith("invoke")]


def test_an_upgrade_restarts_the_instances_that_run(tree, packages, newer):
    tree.install(packages["nodebeat"])
    tree.path("/etc/nodebeat/left.toml").write_text('[redis]\nurl = "redis://hog.local"\n')
    tree.path("/etc/nodebeat/right.toml").write_text("what\n")
    tree.boot()
    tree.path("/instances").write_text("nodebeat@left.service loaded\nnodebeat@right.service loaded\n")
    said = tree.install(newer)
    assert "/etc/nodebeat/right.toml:1" in said
    asked = tree.asked()
    assert "invoke restart nodebeat@left.service" in asked
    assert "invoke restart nodebeat@right.service" not in asked


def test_removing_stops_and_keeps_the_configuration(tree, packages):
    tree.install(packages["nodebeat"])
    name_a_redis(tree)
    tree.boot()
    tree.path("/run/nodebeat/agent.sock").touch()
    tree.path("/run/nodebeat-left").mkdir()
    tree.run("dpkg", "--remove", "nodebeat")
    stops = [line for line in tree.asked() if line.startswith("invoke stop")]
    assert stops == ["invoke stop nodebeat.socket nodebeat.service nodebeat@*.service "
                     "nodebeat-boot.service"]
    assert "hog.local" in tree.path(OWN).read_text()
    assert not tree.path("/usr/sbin/nodebeatd").exists()
    assert not list(tree.path("/run").glob("nodebeat*"))


def test_a_purge_leaves_nothing_but_the_user(tree, packages):
    before = tree.files()
    tree.install(*packages.values())
    tree.path("/etc/nodebeat/redis-password").write_text("secret")
    tree.enable("nodebeat.service")
    tree.enable("nodebeat@left.service")
    tree.run("dpkg", "--purge", *reversed(OURS))
    left = tree.files() - before
    assert {name for name in left if not re.match(ACCOUNTS, name)} == set()
    assert "nodebeat" in tree.path("/etc/passwd").read_text(), "its number must not become another's"
    assert "nodebeat" not in tree.run("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n")


def test_the_audit_waits_for_what_somebody_has_to_make(tree, packages):
    tree.boot()
    said = tree.install(packages["nodebeat-audit"])
    assert "nodebeat-audit: the service is not started yet. nodebeat-audit(8) says what it needs" in said
    assert not [line for line in tree.asked() if re.match("invoke (re)?start", line)]
    assert tree.run("nodebeat-audit", "--check-config") == "the configuration is right\n"
    assert "nodebeat-audit" in tree.path("/etc/passwd").read_text()
    assert tree.path("/usr/share/man/man8/nodebeat-audit.8.gz").exists()
    secret = tree.path("/etc/nodebeat-audit/redis-password")
    secret.write_text("secret")
    # The agent's purge is none of the audit's.
    tree.install(packages["nodebeat"])
    tree.run("dpkg", "--purge", "nodebeat")
    assert secret.exists()
    tree.run("dpkg", "--purge", "nodebeat-audit")
    assert "invoke stop nodebeat-audit.service" in tree.asked()
    assert not secret.parent.exists()


def test_the_gate_is_there_and_nobody_has_enabled_it(tree, packages):
    tree.boot()
    tree.install(packages["nodebeat"], packages["nodebeat-gate"])
    assert tree.run("nodebeat-gate", "--version").startswith("nodebeat-gate ")
    assert tree.path("/usr/share/man/man8/nodebeat-gate.8.gz").exists()
    tree.path("/etc/default/nodebeat-gate").write_text('OPTIONS="--http 127.0.0.1:9809"\n')
    assert not [line for line in tree.asked() if re.match(r"invoke (re)?start nodebeat-gate", line)]
    tree.run("dpkg", "--purge", "nodebeat-gate")
    assert "invoke stop nodebeat-gate.socket nodebeat-gate.service" in tree.asked()
    assert not tree.path("/etc/default/nodebeat-gate").exists()


def test_the_gate_finds_its_library_in_each_debian(packages):
    names = re.sub(r" \([^)]*\)", "", field(packages["nodebeat-gate"], "Depends"))
    assert {"libmicrohttpd12 | libmicrohttpd12t64", "libmicrohttpd12t64 | libmicrohttpd12"} & set(re.split(r",\s*", names))


ROBOT = """
import nodebeat, nodebeat.tatbot, nodebeat.sessions
robot = nodebeat.Robot("/run/nodebeat/agent.sock")
print(robot.uses_library, robot.push_state([0.5]).value, nodebeat.__version__, nodebeat.Bus.__name__)
try:
    nodebeat.Client(timeout=0.1).agent_stats()
except nodebeat.AgentAway as error:
    print(error)
"""


def test_python_pushes_with_the_library_and_without(tree, packages):
    version = packages["nodebeat"].name.split("_")[1]
    tree.install(packages["python3-nodebeat"])
    said = tree.run("python3", "-c", ROBOT)
    assert said.startswith(f"False kept {version} Bus\n") and "is nodebeat running? systemctl status nodebeat" in said
    tree.install(packages["libnodebeat0"])
    assert tree.run("python3", "-c", ROBOT).startswith(f"True kept {version} Bus\n")
    for name in ("nodebeat/py.typed", "nodebeat/aio/client.py"):
        assert tree.path(f"/usr/lib/python3/dist-packages/{name}").exists()
    assert tree.path("/usr/share/doc/python3-nodebeat/examples/control_loop.py").exists()
    needed = re.split(r",\s*", re.sub(r" \([^)]*\)", "", field(packages["python3-nodebeat"], "Depends")))
    assert needed == ["python3:any"], "the standard library and nothing else"


def test_the_examples_build_against_the_package_and_run(tree, packages, tmp_path_factory):
    tree.install(packages["libnodebeat0"], packages["libnodebeat-dev"])
    examples = tmp_path_factory.mktemp("examples") / "examples"
    shutil.copytree(tree.path("/usr/share/doc/libnodebeat-dev/examples"), examples)
    [description] = tree.path("/usr/lib").glob("*/pkgconfig/nodebeat.pc")
    libraries = description.parent.parent
    # This system has neither the header nor the library: what is found is the package's.
    done = subprocess.run(
        ["make", "-C", examples], capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "PKG_CONFIG_PATH": str(description.parent),
             "CPPFLAGS": f"-I{tree.path('/usr/include')} -Werror", "LDFLAGS": f"-L{libraries}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for program in ("push", "robot_sim"):
        shutil.copy(examples / program, tree.path("/usr/bin"))
    assert "push: " in tree.run("push", check=False)
    assert "no agent, I go on without it" in tree.run("robot_sim", "--seconds", "0.1")


def test_lintian_finds_nothing(packages):
    if not shutil.which("lintian"):
        pytest.skip("there is no lintian here")
    # Each Debian's lintian has warnings of its own; errors are the same.
    known = "VERSION_CODENAME=bookworm" in Path("/etc/os-release").read_text()
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning" if known else "error", *packages.values()],
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def field(file, name):
    return subprocess.run(["dpkg-deb", "-f", file, name], check=True, capture_output=True, text=True).stdout.strip()


def test_an_agents_node_fetches_one_small_package(packages):
    """Over a cell's radio, to each node: 400 KB in all, 1 MB installed. In all, since what it depends on
    is on every Debian: so it is also the same package for each release of it."""
    depends = re.split(r",\s*", re.sub(r" \([^)]*\)", "", field(packages["nodebeat"], "Depends")))
    assert sorted(depends) == ["libc6", "systemd | systemd-standalone-sysusers | systemd-sysusers"]
    assert packages["nodebeat"].stat().st_size < 400_000
    assert int(field(packages["nodebeat"], "Installed-Size")) * 1024 < 1_000_000


def test_the_agent_is_hardened(tree, packages):
    tree.install(packages["nodebeat"])
    check = Path(__file__).resolve().parents[1] / "abi" / "check_hardening.py"
    done = subprocess.run([sys.executable, check, tree.path("/usr/sbin/nodebeatd"), platform.machine(),
                           "objdump"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_packages_name_what_is_linked_into_them(tree, packages):
    """Else nobody finds those to be made again when libuv has a fault; and their licences want it."""
    said = field(packages["nodebeat"], "Static-Built-Using")
    inside = dict(re.fullmatch(r"(\S+) \(= (\S+)\)", part).groups() for part in re.split(r",\s*", said))
    compiler = [name for name in inside if re.match(r"gcc-\d+", name)]
    assert sorted(inside) == sorted([*compiler, "hiredis", "http-parser", "libuv1"])
    assert len(compiler) == 1
    assert re.search(r"cli11 \(= \S+\)", field(packages["nodebeat-tools"], "Static-Built-Using"))
    tree.install(packages["nodebeat"])
    notices = tree.path("/usr/share/doc/nodebeat/copyright").read_text()
    assert all(name in notices for name in ("libuv:", "http-parser:", "hiredis:", "BSD-3"))
