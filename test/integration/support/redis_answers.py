"""What a Redis server answers to the questions of `nodebeatctl redis check`, for a fake one."""


def bulk(text):
    return f"${len(text)}\r\n{text}\r\n".encode()


def texts(*items):
    return b"*%d\r\n" % len(items) + b"".join(map(bulk, items))


def right(command):
    """A server's answer as an admin gets it."""
    words = {
        "AUTH": b"+OK\r\n",
        "PING": b"+PONG\r\n",
        "INFO": bulk("# Server\r\nredis_version:7.2.4\r\nrole:master\r\n"),
        "TIME": texts("1700000000", "17"),
        "SCAN": b"*2\r\n" + bulk("0") + texts("stream:node_events:hog"),
        "XINFO": b"*4\r\n" + bulk("length") + b":1\r\n" + bulk("last-generated-id") + bulk("1-1"),
        "CONFIG GET": texts(command[-1], "1"),
        "ACL WHOAMI": bulk("admin"),
        "ACL LIST": texts("user nodebeat-ook on #12 -@all"),
        "ACL DRYRUN": b"+OK\r\n",
        "MULTI": b"+OK\r\n",
    }
    return words.get(question(command), b"+QUEUED\r\n")


def question(command):
    return " ".join(command[:2]) if command[0] in ("ACL", "CONFIG") else command[0]
