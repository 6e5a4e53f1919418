"""The screen of a terminal, as xterm draws it: enough for what nodebeatctl writes, and any other sequence is
an error. (pyte lets the cursor stand behind the last column, where xterm has it on the last one: what erases
the last character of a full line would not be seen.)"""

import re
import unicodedata

TOKEN = re.compile(r"\033\[([?0-9;]*)([A-Za-z])|\033(.)|([\r\n])|([^\033\r\n]+)", re.DOTALL)


def columns_of(character):
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Screen:
    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.clear()

    def clear(self):
        self.cells = [[" "] * self.columns for _ in range(self.rows)]
        self.row = self.column = 0

    def lines(self):
        return ["".join(row).rstrip() for row in self.cells]

    def text(self):
        return "\n".join(self.lines())

    def feed(self, output):
        for match in TOKEN.finditer(output):
            parameters, final, other, control, text = match.groups()
            assert other is None, f"an escape that no terminal of these tests knows: {match.group()!r}"
            if text:
                for character in text:
                    self.put(character)
            elif control:
                self.move(control)
            else:
                self.obey(parameters, final)

    def put(self, character):
        wide = columns_of(character)
        # Without wrapping the last column is written over, and the cursor stays on it.
        self.column = min(self.column, self.columns - wide)
        if wide:
            self.cells[self.row][self.column] = character
            if wide == 2:
                self.cells[self.row][self.column + 1] = ""
            self.column = min(self.column + wide, self.columns - 1)

    def move(self, control):
        if control == "\r":
            self.column = 0
        else:
            assert self.row + 1 < self.rows, "the screen has scrolled"
            self.row += 1

    def obey(self, parameters, final):
        if final == "m" or (final in "hl" and parameters.startswith("?")):
            if parameters == "?1049" and final == "h":
                self.clear()
        elif final == "H" and not parameters:
            self.row = self.column = 0
        elif final == "K" and not parameters:
            self.cells[self.row][self.column:] = [" "] * (self.columns - self.column)
        elif final == "J" and parameters in ("", "2"):
            first = 0 if parameters else self.row + 1
            if not parameters:
                self.obey("", "K")
            for row in range(first, self.rows):
                self.cells[row] = [" "] * self.columns
        else:
            raise AssertionError(f"an unknown sequence: {parameters!r} {final!r}")
