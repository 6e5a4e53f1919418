"""Beats, robots, strokes and events, in words."""

import json
from datetime import datetime, timezone

TIMESTAMP = "%Y-%m-%dT%H:%M:%S.%f"


def local_time(text):
    try:
        return datetime.strptime(text, TIMESTAMP).replace(tzinfo=timezone.utc).astimezone()
    except (TypeError, ValueError):
        return None


def clock(text):
    at = local_time(text)
    return at.strftime("%H:%M:%S") if at else "--:--:--"


def number(value, form, unit=""):
    return form % value + unit if isinstance(value, (int, float)) else "-"


def brief_duration(seconds):
    if not isinstance(seconds, (int, float)):
        return "-"
    days, rest = divmod(int(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    if days:
        return "%dd %dh" % (days, hours)
    return "%dh %dm" % (hours, rest // 60) if hours else "%dm %ds" % divmod(rest, 60)


def mcp(beat):
    if beat.get("mcp_server_running"):
        return ":%s" % beat["mcp_port"] if beat.get("mcp_port") else "up"
    return "down" if beat.get("mcp_port") else "-"


def probe_words(beat):
    """One phrase a probe: "camera up", "planner down (connection refused)"."""
    words = []
    for probe in beat.get("probes") or []:
        state = {True: "up", False: "down"}.get(probe.get("up"), "not known yet")
        why = " (%s)" % probe["detail"] if probe.get("detail") else ""
        words.append("%s %s%s" % (probe.get("name"), state, why))
    return printable(", ".join(words))


def robot_words(robot):
    """One line: "executing, arms connected: left, right; left arm 0.12 -0.50 1.04" """
    sides = (("l", "left"), ("r", "right"))
    connected = [name for side, name in sides if robot.get("is_connected_" + side)]
    words = "%s, arms connected: %s" % (robot.get("current_pose"), ", ".join(connected) or "none")
    for side, name in sides:
        if name in connected:
            angles = " ".join(number(joint, "%5.2f") for joint in robot.get("joints_" + side) or [])
            words += "; %s arm %s" % (name, angles)
    return printable(words)


def stroke_words(stroke):
    return printable("stroke %s of %s, pose %s of %s  %s" % tuple(
        stroke.get(key) for key in
        ("stroke_idx", "total_strokes", "pose_idx", "stroke_length", "stroke_description_l")))


def stroke_percent(stroke):
    """How much of the session is done."""
    total, length = stroke.get("total_strokes") or 0, stroke.get("stroke_length") or 0
    if total <= 0:
        return 0.0
    pose = (stroke.get("pose_idx") or 0) / length if length > 0 else 0.0
    return min((((stroke.get("stroke_idx") or 0) + pose) / total) * 100, 100.0)


def event_words(event):
    known = ("type", "timestamp", "node_id", "instance_id", "boot_id")
    details = ", ".join(
        "%s %s" % (key, value if isinstance(value, str) else json.dumps(value))
        for key, value in event.items()
        if key not in known and value != "" and not isinstance(value, (dict, list))
    )
    return event.get("type", "?"), printable(details)


def printable(text):
    return "".join(c if c.isprintable() else "?" for c in text)


def mask(url):
    scheme, _, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    return host if not at else user.split(":")[0] + ":***@" + host
