"""The messages that the programs can print, read from the sources, and those that docs/troubleshooting.md explains."""

import re

from support import cpp, markdown
from support.agent import ROOT

PAGE = ROOT / "docs/troubleshooting.md"
SOURCES = ROOT / "src"

# The function, and which argument is the message; a format of printf, or a text.
FORMATS = {"make_error": 0, r"(?:std::)?fprintf": 1}
TEXTS = {"complain": 1, "keep": 1, "usage": 0, "lose": 0, "fail": 0, r"(?:std::)?fputs": 0, r"output\.write": 1,
         r"warnings_\.(?:push|emplace)_back": 0}
FINDINGS = {r"(?:terminal::)?(?:problem|warning)": 1}
# {level, check, text, advice}
FINDING = re.compile(r"\{(?=(?:terminal::)?Level::(?:problem|warning),)")
# Errors that the agent answers. Those of a parameter and those that say Redis' words are one kind each.
REFUSALS = "|".join(set(re.findall(r"^Error (\w+)\(", (SOURCES / "rpc/error.h").read_text(), re.MULTILINE))
                    - {"invalid_params", "refused_by_redis", "unknown_method"})
LOGS = r"(?:\w+\.)*log_?\.(?:error|warning)"
LOGS_AT_A_LEVEL = r"(?:\w+\.)*log_?\.every"
# In these rooms a function returns the reason why something does not work, as a text, to the one that prints it.
REASONS_ARE_RETURNED = ("ctl", "redis_admin")
REASON = re.compile(r"\breturn\b|\b(?:fault|text|what|why|words) \+?=(?!=)")
# libnodebeat writes into a buffer of its caller's.
FORMATS_OF_CLIENT = {"refuse": 2, r"std::snprintf": 2, "fail": 1}
# What the gate answers by HTTP.
BODY = re.compile(r"\.body =")

PLACEHOLDER = r"[A-Z][A-Z0-9_]*|\.\.\."
PROGRAM = re.compile(rf"^(?:nodebeat(?:d|ctl|-gate|-audit)|{cpp.WILD}): ")


def words(text):
    return re.findall(r"[A-Za-z]{2,}", text)


def plain(text):
    """Without the name of the program, and with one space where there are several."""
    return PROGRAM.sub("", " ".join(text.split(" ")).strip())


def _of_logs(text):
    for given in cpp.calls(text, LOGS):
        yield given[1 if given[0].startswith("LogAbout(") or given[0] == "about" else 0]
    for level, message, *_ in cpp.calls(text, LOGS_AT_A_LEVEL):
        if re.search("warning|error", level):
            yield message


def _of_calls(text, functions):
    for name, which in functions.items():
        for given in cpp.calls(text, name):
            if len(given) > which:
                yield given[which]


def _of_statements(text, begin):
    """What follows, up to the end of the statement or the member."""
    for match in begin.finditer(text):
        end = next((at for at, c, depth in cpp.outside(text, match.end()) if depth < 0 or depth == 0 and c in ";,"),
                   len(text))
        expression = text[match.end():end].strip()
        yield from cpp.arguments(expression, 0) if expression.startswith("{") else [expression]


def in_source(path):
    """Each message once."""
    text = cpp.without_comments(path.read_text())
    formats = [*_of_logs(text), *_of_calls(text, FORMATS)]
    of_client = path.parent.name == "client"
    if of_client:
        formats += _of_calls(text, FORMATS_OF_CLIENT)
    others = [*_of_calls(text, {} if of_client else TEXTS), *_of_calls(text, {f"(?:rpc::)?(?:{REFUSALS})": 0}), *_of_statements(text, BODY)]
    if path.parent.name in REASONS_ARE_RETURNED or path.name == "client_c.cc":
        others += _of_statements(text, REASON)
    found = [cpp.printed(one) for expression in formats for one in cpp.texts(expression)]
    found += [one for expression in others for one in cpp.texts(expression)]
    return _messages(found)


def findings_in_source(path):
    """Of doctor and the other checks."""
    text = cpp.without_comments(path.read_text())
    found = [*_of_calls(text, FINDINGS), *(cpp.arguments(text, match.start())[2] for match in FINDING.finditer(text))]
    return _messages(one for expression in found for one in cpp.texts(expression))


def _messages(found):
    # One that is made of others, and of no two words of its own, is theirs.
    return sorted({one for one in map(plain, found) if len(words(one)) > 1})


def literals():
    """All that stands in quotes in the sources, as it is printed."""
    found = []
    for path in sorted(SOURCES.rglob("*.cc")) + sorted(SOURCES.rglob("*.h")):
        text = cpp.without_comments(path.read_text())
        for joined in re.findall(rf"{cpp.STRING}(?:\s*{cpp.STRING})*", text):
            found += [cpp.printed(one) for one in cpp.texts(joined)]
    return "\n".join(found)


# --- the page --------------------------------------------------------------------------------------

SPAN = r"(?:``.+?``|`[^`]+`)"
ROW = re.compile(rf"^\| ({SPAN}(?:, {SPAN})*) \|")
# A paragraph or an item that begins with messages and explains them behind a colon.
LEAD = re.compile(rf"^(?:- )?({SPAN}(?:,?\s+(?:and |or )?{SPAN})*)(?: \([^)]*\))?:", re.DOTALL)


def entries(page=PAGE):
    """The messages that the page explains: of tables, and those that lead a paragraph or an item."""
    prose, _ = markdown.split(page)
    found = []
    for block in re.split(r"\n\n|\n(?=- )|\n(?=\| )", prose):
        if lead := ROW.match(block) or LEAD.match(block):
            found += [" ".join(span.strip("`").split()) for span in re.findall(SPAN, lead.group(1))]
    return [plain(entry) for entry in found]


TOKEN = re.compile(rf"{cpp.WILD}|\.\.\.|--[\w-]*|\w+|[^\w\s]")


def is_placeholder(token):
    return re.fullmatch(PLACEHOLDER, token) is not None


def agreement(entry, message):
    """How many letters the two have in common if the entry explains the message, or else -1.

    It does if all words of the message are the entry's. What the source does not know may be anything. A placeholder of
    the entry is that, or one word of the message; `...` is any part of it."""
    given = TOKEN.findall(entry)
    # Most pairs end here, and each message is compared with each entry.
    foreign = set(words(message)) - set(words(entry))
    if "..." not in given and len(foreign) > sum(map(is_placeholder, given)):
        return -1
    shown = TOKEN.findall(cpp.WILD + message + cpp.WILD)  # it may stand within a longer one
    best = {(0, 0): 0}

    def reach(i, j, letters):
        best[i, j] = max(best.get((i, j), -1), letters)

    for i, token in enumerate([*given, None]):
        for j, word in enumerate([*shown, None]):
            if (letters := best.get((i, j))) is None:
                continue
            if word == cpp.WILD:
                reach(i, j + 1, letters)
                reach(i + 1, j, letters)
            elif token == "..." and word:
                reach(i, j + 1, letters)
            if token == "...":
                reach(i + 1, j, letters)
            elif token and word == token:
                reach(i + 1, j + 1, letters + sum(map(str.isalpha, token)))
            elif token and word and is_placeholder(token):
                reach(i + 1, j + 1, letters)
    return best.get((len(given), len(shown)), -1)


def explains(entry, message):
    own = words(message)
    if not set(own) & set(words(entry)):
        return False
    return agreement(entry, message) >= min(sum(map(len, own)), 12)


def is_current(entry, messages, literals):
    """Whether some source still says it: as one message, or in parts that are put together."""
    parts = re.split(rf"(?<!\w)(?:{PLACEHOLDER})(?!\w)|[:;,](?= )|'| \(", entry)
    parts = [part.strip(" ()") for part in parts if words(part)]
    if parts and all(part in literals for part in parts):
        return True
    letters = sum(len(token) for token in TOKEN.findall(entry) if token.isalpha() and not is_placeholder(token))
    return any(2 * agreement(entry, message) > letters for message in messages if set(words(message)) & set(words(entry)))
