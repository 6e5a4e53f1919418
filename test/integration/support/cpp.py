"""As much of C++ as tests have to read of the sources: calls, their arguments, and the texts that these make."""

import re

STRING = r'"(?:[^"\\\n]|\\.)*"'
QUOTED = re.compile(rf"{STRING}|'(?:[^'\\\n]|\\.)+'")
WILD = "\0"  # in a text: what is known only when the program runs
_DIRECTIVE = re.compile(r"%[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|z|j|t)?[a-zA-Z]")
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


def without_comments(text):
    """With the same lines."""
    found = re.compile(rf"({QUOTED.pattern})|//[^\n]*|/\*.*?\*/", re.DOTALL)
    return found.sub(lambda m: m.group(1) or "\n" * m.group().count("\n") or " ", text)


def outside(text, at=0):
    """(position, character, depth) of each one that is in no quotes; depth is that of brackets, after the character."""
    depth = 0
    while at < len(text):
        if quoted := QUOTED.match(text, at):
            at = quoted.end()
            continue
        depth += (text[at] in "({[") - (text[at] in ")}]")
        yield at, text[at], depth
        at += 1


def split(text, separator):
    """At the separators that are in no bracket."""
    cuts = [at for at, c, depth in outside(text) if c == separator and depth == 0]
    return [text[begin:end].strip() for begin, end in zip([0, *(cut + 1 for cut in cuts)], [*cuts, len(text)])]


def arguments(text, start):
    """Those of the call, or of the braces, whose first bracket is at `start`."""
    end = next(at for at, _, depth in outside(text, start) if depth == 0)
    return split(text[start + 1:end], ",")


def calls(text, name):
    """The arguments of each call of a function whose name matches."""
    for match in re.finditer(rf"(?<![\w.>])(?:{name})\(", text):
        yield arguments(text, match.end() - 1)


def texts(expression):
    """The texts that an expression may make."""
    expression = expression.strip()
    marks = [(at, c) for at, c, depth in outside(expression.replace("::", "__")) if depth == 0 and c in "?:"]
    if marks and marks[0][1] == "?":
        nested = 0
        for at, c in marks:
            nested += 1 if c == "?" else -1
            if nested == 0:
                return texts(expression[marks[0][0] + 1:at]) + texts(expression[at + 1:])
    made = [""]
    for term in split(expression, "+"):
        made = [before + after for before in made for after in _texts_of_term(term)]
    return made


def _texts_of_term(term):
    words = re.sub(r"\bPRI\w\d+\b", '"u"', term)
    if re.fullmatch(rf"(?:{STRING}\s*)+", words):
        joined = "".join(literal[1:-1] for literal in re.findall(STRING, words))
        return [re.sub(r"\\(.)", lambda m: _ESCAPES.get(m.group(1), m.group()), joined)]
    call = re.match(r"([\w:]*)\(", term)
    if call:
        given = arguments(term, call.end() - 1)
        if call.group(1) in ("format", "make_error"):
            return [printed(text) for text in texts(given[0])]
        if call.group(1) in ("", "std::string") and len(given) == 1:
            return texts(given[0])
    return [WILD]


def printed(template):
    """What a format of printf makes."""
    return _DIRECTIVE.sub(WILD, template.replace("%%", "\1")).replace("\1", "%")
