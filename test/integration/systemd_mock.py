"""A service on a private bus that answers as systemd's Unit objects do.

usage: systemd_mock.py BUS_ADDRESS; prints "ready"; a line "unit state" on standard input sets a
unit's ActiveState.
"""

import sys

import dbus
import dbus.lowlevel
import dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

UNITS = "/org/freedesktop/systemd1/unit/"
states = {}


def on_message(connection, message):
    if message.get_type() != dbus.lowlevel.MESSAGE_TYPE_METHOD_CALL:
        return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED
    path = message.get_path()
    if message.get_member() != "Get" or not path.startswith(UNITS):
        return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED
    interface, name = message.get_args_list()
    assert interface == "org.freedesktop.systemd1.Unit"
    state = states.get(path[len(UNITS):])
    value = {"ActiveState": state or "inactive",
             "LoadState": "loaded" if state else "not-found"}[name]
    reply = dbus.lowlevel.MethodReturnMessage(message)
    reply.append(dbus.String(value, variant_level=1))
    connection.send_message(reply)
    return dbus.lowlevel.HANDLER_RESULT_HANDLED


def on_line(source, _condition):
    line = source.readline()
    if not line:
        loop.quit()
        return False
    unit, state = line.split()
    states[unit] = state
    print("set", flush=True)
    return True


bus = dbus.bus.BusConnection(sys.argv[1], mainloop=DBusGMainLoop())
bus.add_message_filter(on_message)
name = dbus.service.BusName("org.freedesktop.systemd1", bus)
loop = GLib.MainLoop()
GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, on_line)
print("ready", flush=True)
loop.run()
