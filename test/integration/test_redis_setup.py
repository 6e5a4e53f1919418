"""nodebeatctl redis setup: files, users, passwords, and what is kept."""

import hashlib
import json
import os
import re
import shlex
import stat
import subprocess

import pytest

from support.agent import ROOT, environment
from support.ctl import FOUND, OK, USAGE, find_ctl, run

CTL = find_ctl()
if CTL is None:
    pytest.skip("no nodebeatctl was built", allow_module_level=True)


def test_an_agent_may_use_what_it_uses():
    """The commands in users.acl are those that stand in the agent's source, and no other."""
    others = {"audit", "client", "ctl", "redis_admin", "terminal"}  # rooms of the other programs
    sources = [p.read_text() for p in (ROOT / "src").glob("*/*.cc") if p.parent.name not in others]
    first = r'(?:\.arg\(|(?:ask|ask_also|next)\((?:[\w:]+,\s+)?\{|command\[\] = \{)"([A-Z]{3,})"'
    used = {word.lower() for text in sources for word in re.findall(first, text)}
    # The subscriber takes its commands out of a list.
    for text in sources:
        for words in re.findall(r"kWords\[\] = \{([^}]*)\}", text):
            used |= {word.lower() for word in re.findall(r'"([A-Z]+)"', words)}
        # Whole commands (redis/key_changes).
        for words in re.findall(r'send\((?:format\()?"([A-Z]+(?: [A-Z]+)?)', text):
            used.add(words.lower().replace(" ", "|") if words.startswith("CLIENT") else words.split()[0].lower())
    for script in ("common.lua", "session.lua", "watch.lua"):
        text = (ROOT / "src/wire" / script).read_text()
        used |= {word.lower() for word in re.findall(r"redis\.p?call\('([A-Z]+)'", text)}
    arguments = {"setname", "maxlen", "load", "count", "prefix"}
    with_subcommand = {"client": "client|setname", "acl": "acl|whoami", "memory": "memory|usage",
                       "script": "script|load", "evalsha": "evalsha|"}
    # AUTH is everybody's. CONFIG GET shows passwords, and SLOWLOG the values that others write: what the agent
    # would learn is not worth that.
    used = {with_subcommand.get(word, word) for word in used} - arguments - {"auth", "config", "slowlog"}
    line = users(ROOT / "config" / "redis")["nodebeat-NODE"]
    assert set(re.findall(r"\+([a-z|]+)", line)) == used


def test_a_node_may_be_kept_from_watching(setup, folder):
    """Also by later calls, which say nothing of it."""
    setup("hog")
    setup("ook", "--no-watch")
    lines = users(folder)
    assert "&node:events:*" in lines["nodebeat-hog"] and "~nodebeat:watch" in lines["nodebeat-hog"]
    assert "&node:events:*" not in lines["nodebeat-ook"] and "~nodebeat:watch" not in lines["nodebeat-ook"]
    assert lines["nodebeat-ook"].endswith("+psubscribe)")
    assert "were kept" not in setup("eek")
    assert users(folder)["nodebeat-ook"] == lines["nodebeat-ook"]
    setup("ook", "--force")
    assert "~nodebeat:watch" in users(folder)["nodebeat-ook"]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cell"


@pytest.fixture
def setup(tmp_path, folder):
    """setup(*args): redis setup into `folder`."""

    def do(*args, code=OK):
        done = run(CTL, ["redis", "setup", "--dir", folder, *args],
                   environment(tmp_path / "sanitizer"))
        print(done.stdout, done.stderr)
        assert done.returncode == code and not list(tmp_path.glob("sanitizer*"))
        return done.stdout if code == OK else done.stderr

    return do


def users(folder):
    lines = (folder / "users.acl").read_text().splitlines()
    return {line.split()[1]: line for line in lines}


def hash_in(line):
    return re.search("#[0-9a-f]{64}", line)[0]


def password(folder, user):
    return (folder / f"{user}.password").read_text().removesuffix("\n")


def contents(folder):
    return {p.name: p.read_text() for p in folder.iterdir()}


def test_what_it_writes(setup, folder):
    said = setup("--bind", "10.0.0.2", "hog", "ook")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    names = ["admin", "viewer", "audit", "nodebeat-hog", "nodebeat-ook"]
    assert {p.name for p in folder.iterdir()} == {
        "redis.conf", "users.acl", *(f"{name}.password" for name in names)}
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()} == {0o600}
    assert list(users(folder)) == ["default", *names]
    passwords = [password(folder, name) for name in names]
    assert len(set(passwords)) == 5 and all(len(p) == 32 for p in passwords)
    for name, secret in zip(names, passwords):
        assert "#" + hashlib.sha256(secret.encode()).hexdigest() in users(folder)[name].split()
        assert secret not in said and secret not in (folder / "users.acl").read_text()
    assert " off " in users(folder)["default"]
    assert "\nbind 127.0.0.1 -::1 10.0.0.2\n" in (folder / "redis.conf").read_text()
    assert f'hog  url = "redis://nodebeat-hog@10.0.0.2:6379/0"  (FILE is {folder}/nodebeat-hog.password)' in said
    # Each command that is shown works where it is read: in the folder from which setup was called.
    shown = [shlex.split(line) for line in said.splitlines() if line.startswith("  sudo install")]
    files = [word for words in shown for word in words[words.index("-m") + 2:-1] if word != "FILE"]
    assert len(files) == 3 and all((folder.parent / file).is_file() for file in files), files
    assert f"{folder}/admin.password redis://admin@10.0.0.2:6379/0" in said


def test_again_changes_nothing_and_one_more_node_is_added(setup, folder):
    setup("--bind", "10.0.0.2", "--port", "7000", "hog")
    before = contents(folder)
    setup("--bind", "10.0.0.2", "--port", "7000", "hog")
    assert contents(folder) == before
    said = setup("ook")  # the addresses need not be said again
    after = contents(folder)
    assert set(after) - set(before) == {"nodebeat-ook.password"}
    assert {name for name in before if before[name] != after[name]} == {"users.acl"}
    assert after["users.acl"].startswith(before["users.acl"])
    assert "redis://nodebeat-ook@10.0.0.2:7000/0" in said and "warning" not in said


def test_what_the_operator_did_is_kept_without_force(setup, folder):
    setup("hog")
    secret = password(folder, "nodebeat-hog")
    acl = folder / "users.acl"
    acl.write_text(acl.read_text().replace("+time", "+time +getdel") + "user robot-lab on nopass ~* +@read\n")
    conf = folder / "redis.conf"
    conf.write_text(conf.read_text() + "maxclients 50\n")
    edited = contents(folder)
    said = setup("hog")
    assert contents(folder) == edited
    assert "redis.conf is not what these options would give" in said and "--force" in said
    setup("hog", "--force")
    assert "+getdel" not in acl.read_text() and "maxclients 50" not in conf.read_text()
    assert users(folder)["robot-lab"] == "user robot-lab on nopass ~* +@read"
    assert password(folder, "nodebeat-hog") == secret
    assert hashlib.sha256(secret.encode()).hexdigest() in users(folder)["nodebeat-hog"]


def test_a_password_file_that_was_taken_away_is_not_missed(setup, folder):
    setup("hog")
    line = users(folder)["nodebeat-hog"]
    (folder / "nodebeat-hog.password").unlink()
    setup("ook", "--force")
    assert users(folder)["nodebeat-hog"] == line
    assert not (folder / "nodebeat-hog.password").exists()


def test_another_password_is_taken_over_with_force(setup, folder):
    setup("hog")
    (folder / "nodebeat-hog.password").write_text("of my own\n")
    assert "is not the password that users.acl has for nodebeat-hog" in setup("hog")
    setup("hog", "--force")
    assert hashlib.sha256(b"of my own").hexdigest() in users(folder)["nodebeat-hog"]


def test_free_keys_and_channels(setup, folder):
    setup("hog", "--keys", "recipe:*", "--keys", "cell:*", "--channels", "cv:*")
    line = users(folder)["nodebeat-hog"]
    assert "(-@all +set +del ~recipe:* ~cell:*)" in line
    assert "&node:events:hog &cv:* (" in line and "&cell:*" not in line
    setup("ook")  # they hold for the next node, too, and with --force
    assert users(folder)["nodebeat-ook"] == re.sub(
        "#[0-9a-f]{64}", hash_in(users(folder)["nodebeat-ook"]), line.replace("hog", "ook"))
    before = contents(folder)
    setup("--force")
    assert contents(folder) == before
    setup("--keys", "cell:*", "--force")
    assert "(-@all +set +del ~cell:*)" in users(folder)["nodebeat-ook"]
    assert "&cv:*" in users(folder)["nodebeat-ook"]


def test_valkey(setup, folder):
    said = setup("hog", "--server", "valkey")
    conf = (folder / "redis.conf").read_text()
    settings = [line for line in conf.splitlines() if not line.startswith("#")]
    assert "aclfile /etc/valkey/users.acl" in settings and "dir /var/lib/valkey" in settings
    assert "install -o valkey" in said and "valkey.conf" in said


def test_for_scripts(setup):
    answer = json.loads(setup("--json", "--bind", "fd00::2", "hog"))
    assert answer["nodes"] == [{
        "node": "hog", "user": "nodebeat-hog", "what": "written",
        "url": "redis://nodebeat-hog@[fd00::2]:6379/0", "password_file": "nodebeat-hog.password"}]
    assert {"name": "redis.conf", "what": "written"} in answer["files"]
    assert answer["warnings"] == []


def test_each_address_stands_once(setup, folder):
    addresses = ["10.0.0.2", "10.0.0.2", "127.0.0.1", "fd00::2", "fd00:0::2", "0:0:0:0:0:0:0:1"]
    setup("hog", *(f"--bind={address}" for address in addresses))
    assert "\nbind 127.0.0.1 -::1 10.0.0.2 fd00::2\n" in (folder / "redis.conf").read_text()


def test_the_lines_of_nodes_are_of_the_file_that_was_kept(setup, folder):
    setup("--bind", "10.0.0.2", "--port", "7000", "hog")
    said = setup("--bind", "10.0.0.9", "--port", "7009", "hog")
    assert "redis://nodebeat-hog@10.0.0.2:7000/0" in said and "7009" not in said
    assert "redis.conf is not what these options would give" in said
    assert "redis://nodebeat-hog@10.0.0.9:7009/0" in setup(
        "--bind", "10.0.0.9", "--port", "7009", "--force", "hog")


@pytest.mark.parametrize("bind, host, words", [
    ("bind 127.0.0.1 -10.0.0.2", "10.0.0.2", None),
    ("bind * 10.0.0.2", "10.0.0.2", None),
    ("bind *", "HOST", "--host NAME fills it in"),
    ("bind * -::*", "HOST", "--host NAME fills it in"),
    ("", "HOST", "--host NAME fills it in"),
    ("bind 127.0.0.1 -::1", "127.0.0.1", "only programs on the store's own computer reach it"),
])
def test_a_redis_conf_of_the_operators_own(setup, folder, bind, host, words):
    folder.mkdir()
    (folder / "redis.conf").write_text(f"port 6379\n{bind}\n")
    answer = json.loads(setup("--json", "hog"))
    assert answer["nodes"][0]["url"] == f"redis://nodebeat-hog@{host}:6379/0"
    about = [w for w in answer["warnings"] if "reach it" in w]
    assert len(about) == bool(words) and all(words in w for w in about), answer["warnings"]
    answer = json.loads(setup("--json", "--host", "cell.local", "hog"))
    assert answer["nodes"][0]["url"] == "redis://nodebeat-hog@cell.local:6379/0"
    assert "reach it" not in str(answer["warnings"])


def test_addresses_that_are_everybodys_are_not_written_anew(setup, folder):
    folder.mkdir()
    (folder / "redis.conf").write_text("bind * -::*\n")
    said = setup("--force", "hog")
    assert "\nbind 127.0.0.1 -::1\n" in (folder / "redis.conf").read_text()
    assert "only programs on the store's own computer reach it" in said


def test_a_line_that_options_do_not_change_is_named(setup, folder):
    setup("hog", "--bind", "10.0.0.2")
    said = setup("hog", "--keys", "recipe:*")
    assert "not what these options would give, and were kept: nodebeat-hog; --force" in said
    assert "recipe" not in users(folder)["nodebeat-hog"]
    assert "warning" not in setup("hog", "--keys", "recipe:*", "--force")
    assert "~recipe:*" in users(folder)["nodebeat-hog"]


def test_who_needs_no_password_is_named(setup, folder):
    setup("hog", "--bind", "10.0.0.2")
    acl = folder / "users.acl"
    text = re.sub("(?m)^user default .*$", "user default on nopass ~* &* +@all", acl.read_text())
    acl.write_text(text + "user robot-lab on nopass ~* +@read\nuser gone off nopass\n")
    said = setup("hog")
    assert "user default is on in users.acl and needs no password" in said
    assert "user robot-lab is on in users.acl and needs no password" in said
    assert said.count("warning") == 2
    said = setup("hog", "--force")
    assert "user default is on" not in said and "user robot-lab is on" in said


def test_a_password_file_that_others_may_read_is_named(setup, folder):
    setup("hog", "--bind", "10.0.0.2")
    folder.chmod(0o755)
    assert "warning" not in setup("hog")
    (folder / "nodebeat-hog.password").chmod(0o640)
    assert "nodebeat-hog.password may be read by others than its owner" in setup("hog")


def test_the_command_for_the_check_is_quoted(setup, folder, tmp_path):
    for name in ("a cell", "it's", "$HOME"):
        folder = tmp_path / name
        said = setup("--dir", folder, "--bind", "fd00::2", "hog")
        command = said.splitlines()[-1].removeprefix("Then: ")
        read = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True,
                              text=True, timeout=10)
        assert read.stdout.splitlines()[-2:] == [
            f"{folder}/admin.password", "redis://admin@[fd00::2]:6379/0"]


def test_several_at_once_wait_for_one_another(tmp_path, folder):
    nodes = [f"node-{i}" for i in range(8)]
    running = [subprocess.Popen([CTL, "redis", "setup", "--dir", folder, node],
                                env=environment(tmp_path / "sanitizer"), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
               for node in nodes]
    said = [process.communicate(timeout=30)[0] for process in running]
    assert [process.returncode for process in running] == [OK] * 8, said
    assert set(users(folder)) == {"default", "admin", "viewer", "audit", *(f"nodebeat-{n}" for n in nodes)}
    for node in nodes:
        secret = password(folder, f"nodebeat-{node}").encode()
        assert hash_in(users(folder)[f"nodebeat-{node}"]) == "#" + hashlib.sha256(secret).hexdigest()
    assert not list(folder.glob("*~"))


@pytest.mark.parametrize("args, words", [
    (["ho g"], "node 'ho g': the name has a character that is not allowed"),
    (["-x*"], "not expected"),
    (["x" * 65], "1 to 64 letters"),
    (["hog", "--bind", "cell.local"], "--bind 'cell.local': it is no IP address"),
    (["hog", "--bind", "0.0.0.0"], "--bind '0.0.0.0': it stands for every address"),
    (["hog", "--bind", "::"], "--bind '::': it stands for every address"),
    (["hog", "--bind", "fe80::1"], "a link-local address leads nowhere"),
    (["hog", "--host", "a b"], "--host 'a b': it is no name or address"),
    (["hog", "--host", 'a"b'], "it is no name or address"),
    (["hog", "--host", "cell/1"], "it is no name or address"),
    (["hog", "--host", "cell:6379"], "--port has the port"),
    (["hog", "--host", "0.0.0.0"], "it stands for every address"),
    (["hog", "--maxmemory", "999999999999gb"], "more than 64 bits can hold"),
    (["hog", "--port", "0"], "a port is a number from 1 to 65535"),
    (["hog", "--maxmemory", "lots"], "--maxmemory 'lots': it is no size, such as 256mb"),
    (["hog", "--keys", "r*"], "covers keys beginning with robot:"),
    (["hog", "--keys", "[a-z]*"], "covers keys beginning with"),
    (["hog", "--keys", "a b"], "write ? for it"),
    (["hog", "--channels", "node:*"], "covers node:events:*"),
    (["hog", "--server", "memcached"], "memcached"),
])
def test_wrong_usage_is_named_and_writes_nothing(setup, folder, args, words):
    assert words in setup(*args, code=USAGE)
    assert not folder.exists()


def test_folders_and_files_that_cannot_be(setup, folder):
    folder.write_text("")
    assert "is no folder" in setup("hog", code=FOUND)
    folder.unlink()
    folder.mkdir()
    (folder / "users.acl").write_text("# mine\n")
    assert "has a line that is no user's" in setup("hog", code=FOUND)
    assert (folder / "users.acl").read_text() == "# mine\n"
    (folder / "users.acl").unlink()
    (folder / "nodebeat-hog.password").write_text("\n")
    assert "nodebeat-hog.password is empty" in setup("hog", code=FOUND)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(setup, folder):
    folder.mkdir(mode=0o500)
    assert "Permission denied" in setup("hog", code=FOUND)


# --- what somebody else has put there ------------------------------------------------------------


def test_a_password_that_was_there_first_is_named(setup, folder):
    folder.mkdir(mode=0o700)
    (folder / "admin.password").write_text("of somebody\n")
    (folder / "admin.password").chmod(0o600)
    said = setup("hog", "--bind", "10.0.0.2")
    assert "admin.password was there before admin was in users.acl" in said
    assert hashlib.sha256(b"of somebody").hexdigest() in users(folder)["admin"]
    assert "was there before" not in setup("hog")


@pytest.mark.parametrize("name", ["admin.password", "users.acl", "redis.conf"])
def test_a_link_is_not_followed(setup, folder, tmp_path, name):
    folder.mkdir(mode=0o700)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("user evil on nopass ~* +@all\n")
    (folder / name).symlink_to(elsewhere)
    for force in ([], ["--force"], ["--adopt"]):
        assert f"{name} is a symbolic link" in setup("hog", *force, code=FOUND)
    assert elsewhere.read_text() == "user evil on nopass ~* +@all\n"


@pytest.mark.parametrize("name", ["admin.password", "users.acl", "redis.conf"])
def test_a_file_that_others_may_change_is_taken_over_only_if_said(setup, folder, name):
    setup("hog", "--bind", "10.0.0.2")
    for mode in (0o620, 0o602):
        (folder / name).chmod(mode)
        assert f"{name} may be changed by others" in setup("hog", code=FOUND)
    before = contents(folder)
    assert setup("hog", "--adopt") and contents(folder) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", ["admin.password", "users.acl", "redis.conf", "."])
def test_a_file_of_another_user_is_taken_over_only_if_said(setup, folder, name):
    setup("hog", "--bind", "10.0.0.2")
    os.chown(folder / name, 65534, -1)
    said = setup("hog", code=FOUND)
    assert "belongs to user nobody" in said and "--adopt" in said
    assert setup("hog", "--adopt")


def test_a_folder_into_which_everybody_writes_is_refused(setup, folder):
    folder.mkdir()
    folder.chmod(0o1777)
    assert "may be changed by others" in setup("hog", code=FOUND)
    assert not list(folder.iterdir())


def test_a_user_who_may_do_everything_is_kept_only_if_said(setup, folder):
    setup("hog", "--bind", "10.0.0.2")
    acl = folder / "users.acl"
    kept = acl.read_text() + "user backdoor on #" + "a" * 64 + " ~* &* +@all\n"
    acl.write_text(kept)
    said = setup("ook", code=FOUND)
    assert "user backdoor of users.acl is none of this setup's" in said and "--adopt" in said
    assert acl.read_text() == kept and not (folder / "nodebeat-ook.password").exists()
    assert "user backdoor" in setup("ook", "--adopt") and "backdoor" in users(folder)
    acl.write_text(acl.read_text().replace("backdoor on", "backdoor off"))
    assert "backdoor" not in setup("ook")


@pytest.mark.parametrize("user", ["viewer", "audit", "nodebeat-hog", "nodebeat-eek"])
def test_nor_is_one_whose_name_is_one_of_ours(setup, folder, user):
    setup("hog", "--bind", "10.0.0.2")
    acl = folder / "users.acl"
    kept = "".join(line for line in acl.read_text().splitlines(True) if f"user {user} " not in line)
    kept += f"user {user} on #" + "a" * 64 + " ~* &* +@all\n"
    acl.write_text(kept)
    said = setup("ook", code=FOUND)
    assert f"user {user} of users.acl may change the server" in said and "--force" in said
    assert acl.read_text() == kept
    assert f"user {user}" in setup("ook", "--adopt") and "+@all" in users(folder)[user]
    setup("ook", "--force")
    assert "+@all" not in users(folder)[user]


def test_a_second_password_is_named(setup, folder):
    setup("hog", "--bind", "10.0.0.2")
    acl = folder / "users.acl"
    acl.write_text(re.sub("(?m)^(user admin on )", r"\1#" + "b" * 64 + " ", acl.read_text()))
    assert "user admin has 2 passwords in users.acl" in setup("hog")
