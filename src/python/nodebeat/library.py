"""libnodebeat (client.h) through ctypes: a Robot uses it where libnodebeat0 is installed."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import socket
import struct
from collections.abc import Mapping
from ctypes import c_char_p, c_double, c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from threading import get_ident
from typing import Any, Final, NoReturn

from nodebeat import dialling
from nodebeat.errors import Closed
from nodebeat.numbers import LISTS, MOST, NULL, UNSAID, Lists, gather
from nodebeat.protocol import to_json
from nodebeat.pushing import Pushed, Pusher, RobotStats, closed, forked, object_text

NAME: Final = "libnodebeat.so.0"
OK, KEPT, ERR_FULL, ERR_TOO_LARGE, ERR_FORKED = 0, 1, -5, -6, -16
_OUTCOME: Final = {OK: Pushed.SENT, KEPT: Pushed.KEPT, ERR_FULL: Pushed.LOST}


_FUNCTIONS: Final = {
    "nb_client_open": [c_void_p, c_void_p, c_char_p, c_size_t],
    "nb_client_close": [c_void_p],
    "nb_client_dispatch": [c_void_p],
    "nb_client_get_fd": [c_void_p],
    "nb_client_get_events": [c_void_p],
    "nb_client_get_stats": [c_void_p, c_void_p],
    "nb_client_last_error": [c_void_p, c_char_p, c_size_t],
    "nb_push_robot_state": [c_void_p, c_void_p],
    "nb_stroke_start": [c_void_p, c_void_p],
    "nb_stroke_update": [c_void_p, c_void_p],
    "nb_stroke_end": [c_void_p],
    "nb_report_error": [c_void_p, c_char_p, c_char_p, c_char_p],
    "nb_publish": [c_void_p, c_char_p, c_char_p],
    "nb_result_text": [ctypes.c_int],
}


class _Options(ctypes.Structure):
    _fields_ = [
        ("size", c_uint32), ("flags", c_uint32), ("socket_path", c_char_p), ("name", c_char_p), ("will", c_char_p),
        ("event_ring_bytes", c_uint32), ("slot_bytes", c_uint32), ("reconnect_ms", c_uint32), ("on_event", c_void_p),
        ("user", c_void_p), ("max_line_bytes", c_uint32), ("reserved", c_uint32), ("deadline_ms", c_uint32),
        ("reserved_2", c_uint32),
    ]


class _State(ctypes.Structure):
    _fields_ = [
        ("size", c_uint32), ("has", c_uint32), ("is_connected_l", c_uint8), ("is_connected_r", c_uint8),
        ("counts", c_uint8 * 4), ("reserved", c_uint8 * 2), ("lists", c_void_p * 4), ("current_pose", c_char_p),
        ("goal_time_slow", c_double), ("goal_time_fast", c_double), ("timestamp_us", c_int64),
    ]


# The bits of nb_robot_state.has and nb_stroke.has, in their order.
_STATE_BITS: Final = {name: 1 << i for i, name in enumerate((
    "is_connected_l", "is_connected_r", *LISTS, "current_pose", "goal_time_slow", "goal_time_fast", "timestamp_us"))}
_STROKE_NAMES: Final = (
    ("stroke_idx", "stroke_idx"), ("pose_idx", "pose_idx"), ("total_strokes", "total_strokes"),
    ("stroke_length", "stroke_length"), ("offset_idx_l", "offset_idx_l"), ("offset_idx_r", "offset_idx_r"),
    ("stroke_description_l", "description_l"), ("stroke_description_r", "description_r"),
    ("is_executing", "is_executing"), ("is_paused", "is_paused"), ("scene_name", "scene_name"),
    ("dataset_name", "dataset_name"), ("timestamp_us", "timestamp_us"))
_STROKE_BITS: Final = {name: (field, 1 << i) for i, (name, field) in enumerate(_STROKE_NAMES)}


class _Stroke(ctypes.Structure):
    _fields_ = [
        ("size", c_uint32), ("has", c_uint32), ("stroke_idx", c_int64), ("pose_idx", c_int64),
        ("total_strokes", c_int64), ("stroke_length", c_int64), ("offset_idx_l", c_int64), ("offset_idx_r", c_int64),
        ("description_l", c_char_p), ("description_r", c_char_p), ("scene_name", c_char_p),
        ("dataset_name", c_char_p), ("timestamp_us", c_int64), ("is_executing", c_uint8), ("is_paused", c_uint8),
        ("reserved", c_uint8 * 6),
    ]


class _Stats(ctypes.Structure):
    _fields_ = [("size", c_uint32), ("connected", c_uint32), *((name, c_uint64) for name in (
        "pushed", "sent", "kept", "coalesced", "refused_full", "rejected", "connects", "disconnects", "events",
        "waiting_bytes"))]


_STATE_SIZE: Final = ctypes.sizeof(_State)
_IS_CONNECTED_L, _IS_CONNECTED_R = _STATE_BITS["is_connected_l"], _STATE_BITS["is_connected_r"]
_HEAD: Final = struct.Struct("=II2B").pack_into  # size, has, is_connected_l, is_connected_r
_NAN: Final = c_double(float("nan"))


class _Frame:
    """One nb_robot_state with room for its lists. A push takes one that is free, so pushes of several threads, and
    of a signal handler in the middle of another push, have one each."""

    def __init__(self) -> None:
        self.state = _State()
        self.address = ctypes.addressof(self.state)
        self.head = memoryview(self.state).cast("B")
        self._numbers = (c_double * (4 * MOST))()
        self.room = memoryview(self._numbers).cast("B")
        self.lengths: list[int] = []  # for which it is laid out
        self.has_lists = 0  # their bits of `has`

    def lay_out(self, lengths: list[int]) -> None:
        """Says where each list begins. Not needed in each push: a program brings the same lengths each time."""
        self.lengths = []  # if an exception out of a signal handler comes below, it is to be done again
        self.has_lists = 0
        begin = ctypes.addressof(self._numbers)
        for i, (name, length) in enumerate(zip(LISTS, lengths)):
            if length == UNSAID:
                continue
            self.has_lists |= _STATE_BITS[name]
            if length == NULL:
                # A list with a NaN goes out as null.
                self.state.lists[i], self.state.counts[i] = ctypes.addressof(_NAN), 1
            else:
                self.state.lists[i], self.state.counts[i] = begin, length
                begin += length * ctypes.sizeof(c_double)
        self.lengths = lengths


class LibraryPusher(Pusher):
    """The pushes of libnodebeat. While it pushes, the interpreter's lock stays with the caller: a push waits for
    nothing, and to get that lock back may take milliseconds where another thread calculates.

    A client must not be freed while a function of the library uses it. So each call notes itself in _inside before it
    reads _client, and close() clears _client before it reads _inside. If close() finds a call inside, the call that
    leaves last frees the client. An exception out of a signal handler may come anywhere in a call: each has a token of
    its own, so that leaving without having entered does no harm.
    """

    def __init__(self, path: str, hello: Mapping[str, object], deadline_ms: int | None, library: str = NAME) -> None:
        self._client: int | None = None
        self._handles: list[int] = []  # the client, until it is closed
        self._inside: dict[object, int] = {}  # calls, and the thread of each
        self._library = ctypes.PyDLL(library)
        for name, types in _FUNCTIONS.items():
            getattr(self._library, name).argtypes = types
        self._library.nb_result_text.restype = c_char_p
        options = _Options(
            size=ctypes.sizeof(_Options), socket_path=path.encode(), name=str(hello["name"]).encode(),
            will=to_json(hello["will"]).encode() if hello.get("will") else None, deadline_ms=deadline_ms or 0)
        client, words = c_void_p(), ctypes.create_string_buffer(256)
        if self._library.nb_client_open(ctypes.byref(options), ctypes.byref(client), words, len(words)) != OK:
            raise ValueError(words.value.decode(errors="replace"))
        assert client.value is not None
        self._push_state = self._library.nb_push_robot_state
        self._frames = [_Frame()]
        self._goodbye = False
        self._forked = False
        self._last_stats, self._last_words = RobotStats(), ""  # when it was closed
        self._handles.append(client.value)
        self._client = client.value
        dialling.keep_from_children(self)

    def __del__(self) -> None:
        # Dropped without close(): no goodbye, as when the process dies.
        if hasattr(self, "_last_words"):
            self.close(False)
            self._end()

    # --- calls of the library ---------------------------------------------------------------------

    def _call(self, function: Any, *args: Any) -> int:
        """A function of the library that takes the client and more; raises Closed and Forked."""
        token = object()
        try:
            self._inside[token] = get_ident()
            client = self._client
            if client is None:
                self._refuse()
            return int(function(client, *args))
        finally:
            self._leave(token)

    def _leave(self, token: object) -> None:
        self._inside.pop(token, None)
        if self._client is None and not self._inside:
            self._end()

    def _refuse(self) -> NoReturn:
        raise forked() if self._forked else closed()

    def close(self, goodbye: bool) -> None:
        if self._client is None:
            return
        self._goodbye = goodbye
        self._last_stats, self._last_words = dataclasses.replace(self.stats(), connected=False), self.last_error()
        self._client = None
        if not self._inside:
            self._end()

    def on_fork(self) -> None:
        """In the child: nb_client_close() lets go of its copies, and says nothing to the agent."""
        self._forked = True
        self._client = None
        # A child has only the thread that has forked, and that thread may be in the middle of a push.
        self._inside = {token: thread for token, thread in self._inside.items() if thread == get_ident()}
        if not self._inside:
            self._end()

    def _end(self) -> None:
        try:
            client = self._handles.pop()
        except IndexError:
            return  # another thread frees the client
        if not self._goodbye and not self._forked:
            fd = self._library.nb_client_get_fd(client)
            if fd >= 0:
                # So that the goodbye, which nb_client_close() says, does not arrive: the will is carried out.
                with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as sock:
                    sock.shutdown(socket.SHUT_WR)
        self._library.nb_client_close(client)

    # --- pushes -----------------------------------------------------------------------------------

    def push_state(self, lists: Lists, is_connected_l: bool | None, is_connected_r: bool | None,
                   rest: Mapping[str, Any]) -> Pushed:
        try:
            frame = self._frames.pop()
        except IndexError:
            frame = _Frame()
        token = object()
        try:
            self._inside[token] = get_ident()
            client = self._client
            if client is None:
                self._refuse()
            lengths = gather(lists, frame.room)[1]
            if lengths != frame.lengths:
                frame.lay_out(lengths)
            has = frame.has_lists
            if is_connected_l is not None:
                has |= _IS_CONNECTED_L
            if is_connected_r is not None:
                has |= _IS_CONNECTED_R
            for name, value in rest.items():
                setattr(frame.state, name, value.encode() if isinstance(value, str) else value)
                has |= _STATE_BITS[name]
            _HEAD(frame.head, 0, _STATE_SIZE, has, bool(is_connected_l), bool(is_connected_r))
            result = self._push_state(client, frame.address)
        finally:
            self._frames.append(frame)
            self._leave(token)
        return _OUTCOME.get(result) or self._refused(result)

    def start_stroke(self, params: Mapping[str, Any]) -> Pushed:
        return self._event(self._library.nb_stroke_start, ctypes.byref(_stroke(params)))

    def update_stroke(self, params: Mapping[str, Any]) -> Pushed:
        return self._done(self._call(self._library.nb_stroke_update, ctypes.byref(_stroke(params))))

    def end_stroke(self) -> Pushed:
        return self._event(self._library.nb_stroke_end)

    def error(self, category: str, message: str, details: Mapping[str, object] | None) -> Pushed:
        return self._event(self._library.nb_report_error, category.encode(), message.encode(),
                           None if details is None else object_text(details, "details"))

    def publish(self, channel: str, event: Mapping[str, object]) -> Pushed:
        return self._event(self._library.nb_publish, channel.encode(), object_text(event, "event"))

    def _event(self, function: Any, *args: Any) -> Pushed:
        outcome = self._done(self._call(function, *args))
        # A reconnect takes several pushes, and an event should not wait for the next ones.
        if outcome is Pushed.KEPT and self._call(self._library.nb_client_dispatch) == OK:
            return Pushed.SENT
        return outcome

    def _done(self, result: int) -> Pushed:
        return _OUTCOME.get(result) or self._refused(result)

    def _refused(self, result: int) -> NoReturn:
        if result == ERR_FORKED:
            raise forked()
        words = self.last_error()
        raise ValueError(self._library.nb_result_text(result).decode() + (f": {words}" if words else ""))

    # --- the rest -----------------------------------------------------------------------------------

    def dispatch(self) -> bool:
        return self._call(self._library.nb_client_dispatch) == OK

    def wanted(self) -> tuple[int, int]:
        return self._call(self._library.nb_client_get_fd), self._call(self._library.nb_client_get_events)

    def stats(self) -> RobotStats:
        raw = _Stats(size=ctypes.sizeof(_Stats))
        if not self._looked(self._library.nb_client_get_stats, ctypes.byref(raw)):
            return dataclasses.replace(self._last_stats)
        return RobotStats(bool(raw.connected), raw.pushed, raw.sent, raw.kept, raw.coalesced, raw.refused_full,
                          raw.rejected, raw.connects, raw.disconnects)

    def last_error(self) -> str:
        words = ctypes.create_string_buffer(1024)
        if not self._looked(self._library.nb_client_last_error, words, len(words)):
            return self._last_words
        return words.value.decode(errors="replace")

    def _looked(self, function: Any, *args: Any) -> bool:
        """False if the client is closed."""
        try:
            self._call(function, *args)
        except Closed:
            return False
        return True


def _stroke(params: Mapping[str, Any]) -> _Stroke:
    stroke = _Stroke(size=ctypes.sizeof(_Stroke))
    for name, value in params.items():
        field, bit = _STROKE_BITS[name]
        setattr(stroke, field, value.encode() if isinstance(value, str) else value)
        stroke.has |= bit
    return stroke
