"""A document is accepted, and holds, what Python's own reader of TOML takes it to hold."""

import datetime
import itertools
import math
import pathlib
import random
import struct
import subprocess
import tomllib

import pytest

from probe_driver import find

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARK = "\ufeff"  # of the byte order: ours reads on behind it
DEEPEST = 16


def _float(text):
    """tomllib makes 0 or infinity of what no double holds; ours refuses it."""
    number = float(text)
    mantissa = text.lower().split("e")[0]
    if math.isinf(number) and "inf" not in text:
        raise ValueError("too large")
    if number == 0 and any(digit in mantissa for digit in "123456789"):
        raise ValueError("too small")
    return number


def _plain(value, depth=0):
    """As toml_driver writes it; and what is beyond the bounds of ours is refused."""
    if depth > DEEPEST:
        raise ValueError("too deep")
    if isinstance(value, dict):
        return "{%s}" % ",".join(sorted(f"{_plain(key)}={_plain(member, depth + 1)}"
                                        for key, member in value.items()))
    if isinstance(value, list):
        return "[%s]" % ",".join(_plain(item, depth + 1) for item in value)
    if isinstance(value, str):
        return "x" + value.encode().hex()
    if isinstance(value, bool):
        return "btrue" if value else "bfalse"
    if isinstance(value, int):
        if not -2**63 <= value < 2**63:
            raise ValueError("beyond 64 bits")
        return f"i{value}"
    if isinstance(value, float):
        return "nan" if math.isnan(value) else "f" + struct.pack(">d", value).hex()
    assert isinstance(value, (datetime.date, datetime.time))
    return "date"


def _theirs(document):
    try:
        text = document.decode().removeprefix(MARK)
        return _plain(tomllib.loads(text, parse_float=_float))
    except ValueError:  # what tomllib raises is one, and what is no UTF-8
        return "refused"


def _ours(documents):
    program = find("NODEBEAT_TEST_TOML_DRIVER", "build*/test/support/toml_driver",
                   "build*/*/test/support/toml_driver")
    assert program, "build the tests first: there is no build*/test/support/toml_driver"
    lines = "".join(f"x{document.hex()}\n" for document in documents)
    answer = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    answers = answer.stdout.split("\n")[:-1]
    assert len(answers) == len(documents)
    return answers


def _compare(documents, *, accepted, refused):
    """At least so many of each, since a corpus that is all refused shows nothing."""
    documents = [text if isinstance(text, bytes) else text.encode() for text in documents]
    count = {"accepted": 0, "refused": 0}
    for document, ours in zip(documents, _ours(documents)):
        assert ours.split(":")[0] == _theirs(document), (document, ours)
        count["refused" if ours.startswith("refused") else "accepted"] += 1
    assert count["accepted"] >= accepted and count["refused"] >= refused, count


INTEGERS = """0 +0 -0 1 -1 +1 17 1_000 1_2_3 9223372036854775807 -9223372036854775808
9223372036854775808 -9223372036854775809 01 00 -01 +00 0_1 _1 1_ 1__0 + - +-1 --1 1- 1+ 1a 1,0
0x0 0xDEADbeef 0xdead_beef 0x_1 0x1_ 0x1__2 0x 0xg 0X1 +0x1 -0x1 0x7fffffffffffffff 0x8000000000000000
0x00001 0o0 0o17 0o1_7 0o8 0o 0O1 0o777777777777777777777 0o1777777777777777777777 0b0 0b1010 0b1_0 0b2 0b
0B1 0x1.0 0x1p3 0b1e1 1d""".split()
FLOATS = """0.0 -0.0 +0.0 1.0 3.1415 -0.01 1e5 1E5 1e+5 1e-5 1e05 1e0_5 6.626e-34 1_000.000_1 1. .1 1.e5 1._0 1_.0
1.0_ 1e 1e+ 1e_5 1e5_ 1e5.0 01.0 -01.0 0e0 0.e1 1.2.3 +.5 1.7976931348623157e308 1.8e308 1e400 -1e400
5e-324 1e-400 0e-400 0.0e999 inf +inf -inf nan +nan -nan Inf NaN infinity in na +in - +_1 0.1e1 00.1 1e1e1
0.30000000000000004 123456789012345678901234567890.0 4.9e-324 2.2250738585072011e-308""".split()
DATES = """1979-05-27 1979-05-27T07:32:00 1979-05-27t07:32:00z 1979-05-27T07:32:00Z 1979-05-27T00:32:00-07:00
1979-05-27T00:32:00.999999+07:00 07:32:00 00:32:00.999 1979-05-27T 1979-05 1979-5-27 79-05-27 07:32 7:32:00
07:32:00. 07:32:00Z 1979-05-27T07:32 1979-05-27x 1979-05-27T07:32:00+7 1979-05-27Z""".split() + [
    "1979-05-27 07:32:00", "1979-05-27  07:32:00", "1979-05-27 ", "1979-05-27 # c", "1979-05-27 07:32:00.5Z"]
WORDS = "true false True TRUE tru truex true1 falsey yes null hog".split()
TEXTS = [
    '""', "''", '"a"', "'a'", '"a', "'a", 'a"', '"a"b', '"a" "b"', '"\'"', "'\"'", "'\\n'", '"\\\\"', "'\\'",
    '"\t"', '"#"', '"a\nb"', "'a\nb'", '"\u00e4\u4e2d\U0001f600"', '"\\', '"\\"', '"a\r\nb"', "'a\rb'",
    '""""""', "''''''", '"""a"""', "'''a'''", '"""\na"""', "'''\r\na'''", '"""\r\na\r\nb"""', '"""a\nb"""',
    '""""a"""', '"""""a"""', '""""""a"""', '"""a""""', '"""a"""""', '"""a""""""', "'''a''''", "'''a'''''",
    "'''a''''''", "''''a'''", '"""a""b"""', "'''a''b'''", '"""a', "'''a", '"""a""', "'''a''", '"""a\\"""',
    '"""a\\""""', '"""a\\\nb"""', '"""a\\  \n\n  b"""', '"""a\\ b"""', '"""a\\\r\n b"""', '"""\\\n"""', '"""\\',
    "'''a\\\nb'''", '"""a\\\n', '"""\n\na"""', '"""\t"""', '"""a\rb"""', '"""\\\\\n"""', '"""a\\\t\n\tb"""',
    '"""""""', '"""""""""', "''''''''",
]
OTHERS = ["", "=", "#", "1 2", "[", "]", "{", "}", "a.b", "\u00e4", "\\", "@", "1 #c", "\n1", "\\\n1", ","]
LISTS = ["[]", "[ ]", "[\n]", "[1]", "[1,]", "[1,2]", "[1, 2,\n]", "[1\n,\n2\n]", "[,]", "[1,,2]", "[,1]", "[1 2]",
         "[1,2", "[1]]", "[[]]", "[[1],['a']]", "[1,'a',true]", "[#c\n1,#c\n2#c\n]#c", "[{}]", "[{a=1},{a=2}]",
         "[1,\r\n2]", "[1;2]", "[a=1]", "[\n\n\n1\n\n\n,\n\n]"]
TABLES = ["{}", "{ }", "{a=1}", "{ a = 1 , b = 2 }", "{a=1,}", "{,}", "{a=1,,b=2}", "{a=1 b=2}", "{a=1", "{a}", "{a=}",
          "{\n}", "{a=1\n}", "{a=1,\nb=2}", "{a=1#c}", "{a=1,a=2}", "{a.b=1,a.c=2}", "{a.b=1,a.b=2}", "{a=1,a.b=2}",
          "{a.b=1,a=2}", "{a={},a.b=1}", "{a={b=1},a.c=1}", "{a=[\n1\n]}", "{a='''\n'''}", "{'a b'=1}", "{a={b={}}}",
          "{a.b.c=1,a.b.d=2,a.e=3}", "{a.b=1,a.b.c=2}", "{a=[{b=1}],a.b=2}", "{1=1}", "{''=1}", "{[a]=1}"]
VALUES = INTEGERS + FLOATS + DATES + WORDS + TEXTS + OTHERS + LISTS + TABLES


def test_values():
    around = ["a = %s", "a = %s\nb = 1", "a=%s#c", "a = [%s, 1]", "a = [1, %s]", "a = {b = %s}", "a = {b=%s, c=1}",
              "[a]\nb\t=\t%s \t\r\n", "[[a]]\n  a.b = %s", "a = [[%s]]", "a = %s b = 1", MARK + "a = %s"]
    _compare([form % value for form in around for value in VALUES], accepted=1500, refused=1500)


def test_keys():
    keys = ["a", "A-_9", "1", "-", "_", "1.2", "a.b", "a . b", "a\t.\tb", ".a", "a.", "a..b", "", ".", '""', "''",
            '"a b"', "'a b'", '"a.b"', '"\\u0061"', "'\\u0061'", '"\\x"', "a b", "\u00e4", '"\u00e4"', "a#", "a=b", "a[0]",
            '"a', "'a", '"a"b', 'a"b"', '"""a"""', "'''a'''", '"a".\'b\'.c', "a\n", "a.\nb", '"\n"', "true", "inf",
            "1979-05-27", "+1", "a:b", "a/b", "a,b", '"\\n"', "a.a", "a.a.a", "@", '"".""', '""a', "'a'.", "\ta\t"]
    around = ["%s = 1", "[%s]", "[[%s]]", "a = {%s = 1}", "a = 1\n%s = 2", "[a]\n%s = 1", "[a]\n[%s]", "[[a]]\n[%s]",
              "[a]\n[[%s]]", "[[a]]\n[[%s]]", "[ %s ]", "[[ %s ]]", "%s", "%s =", "[%s", "[[%s]", "[%s]]", "[[%s] ]",
              "[ [%s]]", "[%s]#c", "[%s] a", "[%s]\r\n", "%s\n= 1", "%s = 1 = 2", "= %s", "[%s]\n[%s.a]\na = 1\n[a.c]"]
    _compare([form.replace("%s", key) for form in around for key in keys], accepted=250, refused=500)


STATEMENTS = ["[a]", "[b]", "[a.b]", "[a.b.c]", "[[a]]", "[[a.b]]", "[[a.b.c]]", "b = 1", "c = 3", "a.b = 1", "b.c = 2",
              "b.d.e = 4", "a.b.c = 5", "a = {}", "b = {c = 1}", "a = {b.c = 1}", "a = []", "b = [{}]"]


def test_tables_are_made_once():
    """Every three of these one after the other, and many longer rows of them."""
    draw = random.Random(20261127)
    rows = list(itertools.product(STATEMENTS, repeat=3))
    rows += [[draw.choice(STATEMENTS[:13]) for _ in range(draw.randint(4, 7))] for _ in range(6000)]
    # A key of its own behind each header, so that most rows go on.
    rows += [[f"{statement}\nk{i} = {i}" for i, statement in enumerate(row)] for row in rows]
    _compare(["\n".join(row) for row in rows], accepted=500, refused=2000)


def test_every_byte_everywhere():
    around = [b"a = \"%s\"", b"a = '%s'", b'a = """%s"""', b"a = '''%s'''", b"# %s", b"# %s\na = 1", b"a%s = 1", b"a = %s1",
              b"a = 1%s", b"a = 1%s\n", b"a = 1%s\r\n", b"[a%s]", b"a = [1%s]", b"a = {b = 1%s}", b"%s", b"a = \"\\%s\"",
              b'a = """\\%s\n"""', b"a = 1%s2", b"a = 0%s1", b"a = 1.0%s", b"\"%s\" = 1", b"%sa = 1"]
    _compare([form.replace(b"%s", bytes([byte])) for form in around for byte in range(256)],
             accepted=1000, refused=4000)


def test_characters_by_their_number():
    numbers = [0, 1, 0x7f, 0x80, 0xff, 0x7ff, 0x800, 0xd7ff, 0xd800, 0xdbff, 0xdfff, 0xe000, 0xfffd, 0xffff, 0x10000,
               0x10ffff, 0x110000, 0xffffffff]
    escapes = [form % number for form in ("\\u%04x", "\\U%08X", "\\u%x", "\\U%x", "\\u%04xg", "\\u%03xg", "\\U%08x0",
                                          "\\u %04x", "\\u+%03x", "\\u-%03x", "\\u0x%02x") for number in numbers]
    documents = [f'a = {quotes}{escape}{quotes}' for quotes in ('"', '"""', "'") for escape in escapes + ["\\u", "\\U"]]
    documents += [f'a = "{escape}' for escape in escapes]
    encoded = [b"\xc0\x80", b"\xc1\xbf", b"\xc2\x80", b"\xdf\xbf", b"\xe0\x9f\xbf", b"\xe0\xa0\x80", b"\xed\x9f\xbf",
               b"\xed\xa0\x80", b"\xef\xbf\xbf", b"\xf0\x8f\xbf\xbf", b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf",
               b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xe4\xb8", b"\xf0\x9f\x98", b"\xef\xbb\xbf"]
    documents += [form % text for form in (b"a = '%s'", b"# %s\n", b"'%s' = 1") for text in encoded]
    _compare(documents, accepted=250, refused=150)


@pytest.mark.parametrize("deep", range(13, 20))
def test_depth(deep):
    _compare(["a = " + "[" * deep + "]" * deep, "a = " + "{a = " * deep + "1" + "}" * deep, ".".join("a" * deep) + " = 1",
              "[" + ".".join("a" * deep) + "]", "[[" + ".".join("a" * deep) + "]]", "[[a]]\n" * 3 + "[a" + ".a" * deep + "]"],
             accepted=0 if deep > 16 else 1, refused=0)


def test_configurations_with_a_mistake():
    """Our own files, and thousands that differ from them in a few bytes."""
    files = sorted(ROOT.glob("config/**/*.toml")) + sorted(ROOT.glob("test/fuzz/corpus/config/*"))
    kept = [path.read_bytes() for path in files]
    assert len(kept) > 40
    draw = random.Random(20261127)
    documents = list(kept)
    bits = [b'"', b"'", b"#", b"\n", b"\r\n", b"=", b".", b"[", b"]", b"{", b"}", b",", b"\\", b" ", b"_", b"0", b"a",
            b'"""', b"'''", b"[[", b"]]", b"\t", b"\xe4", b"-", b"1"]
    rows = [text.splitlines(keepends=True) for text in kept]
    for _ in range(4000):
        lines = [row for row in draw.choice(rows) if not row.startswith(b"#")]
        # A few lines are enough: most of the long ones are comments.
        start = draw.randrange(len(lines) or 1)
        text = b"".join(lines[start:start + draw.randint(1, 12)])
        for _ in range(draw.randint(1, 3)):
            at = draw.randint(0, len(text))
            text = text[:at] + draw.choice(bits) * draw.randint(0, 1) + text[at + draw.randint(0, 2):]
        documents.append(text)
    _compare(documents, accepted=500, refused=1000)
