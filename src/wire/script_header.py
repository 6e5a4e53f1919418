"""script_header.py TEMPLATE SCRIPT... HEADER: writes the template with the text of these Lua scripts, one
behind the other, without comments and indents and with shorter names for two functions, and its SHA-1."""

import hashlib
import sys

template, *sources, header = sys.argv[1:]
lines = []
for source in sources:
    with open(source, encoding="utf-8") as file:
        lines += [line.strip() for line in file]
text = "\n".join(line for line in lines if line and not line.startswith("--")) + "\n"
# Each of the two stands there dozens of times, and each byte is one of the agent's.
text = "local C,P=redis.call,redis.pcall\n" + text.replace("redis.call(", "C(").replace("redis.pcall(", "P(")
with open(template, encoding="utf-8") as file:
    out = file.read().replace("@TEXT@", text)
with open(header, "w", encoding="utf-8") as file:
    file.write(out.replace("@SHA1@", hashlib.sha1(text.encode()).hexdigest()))
