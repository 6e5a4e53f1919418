"""What stands in Redis, as dataclasses: the fields, defaults and JSON of PROTOCOL.md, 4.6 and 4.8.

They have of pydantic's interface what programs of the cell use: model_dump(), model_dump_json(),
model_validate() and model_validate_json(). Unknown members are ignored; what has a wrong type is a ValueError.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, Self

from nodebeat.numbers import finite, floats
from nodebeat.protocol import to_json


def now() -> datetime:
    """The time in UTC, without a zone, as the cell's programs keep it."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


_known: dict[type, dict[str, tuple[Any, bool]]] = {}


def _hints(kind: type) -> dict[str, tuple[Any, bool]]:
    """Of each field its type, and whether it may be None."""
    if kind in _known:
        return _known[kind]
    found: dict[str, tuple[Any, bool]] = {}
    for name, hint in typing.get_type_hints(kind).items():
        kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        found[name] = (next(k for k in kinds if k is not type(None)), type(None) in kinds)
    _known[kind] = found
    return found


def _coerced(name: str, value: Any, kind: Any, optional: bool) -> Any:
    if value is None and optional:
        return None
    if kind is datetime:
        value = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(value, datetime):
            return value if value.tzinfo is None else value.astimezone(timezone.utc).replace(tzinfo=None)
    elif kind == list[float]:
        return floats(name, value).tolist()
    elif kind is float and not isinstance(value, (bool, str)):
        return finite(name, value)
    elif kind is int:
        if not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
            return int(value)
    elif isinstance(value, kind):
        return value
    raise TypeError(f"{name} has to be {getattr(kind, '__name__', kind)}, not {value!r}")


@dataclass(kw_only=True)
class Model:
    """The base of the models: a time and a node."""

    timestamp: datetime = field(default_factory=now)  # UTC, without a zone
    node_id: str

    def __post_init__(self) -> None:
        for name, (kind, optional) in _hints(type(self)).items():
            try:
                setattr(self, name, _coerced(name, getattr(self, name), kind, optional))
            except (TypeError, OverflowError) as error:
                raise ValueError(f"{name}: {error}") from None

    def model_dump(self, *, mode: Literal["python", "json"] = "python") -> dict[str, Any]:
        """A dict of the fields; with mode="json" times are texts."""
        found = dataclasses.asdict(self)
        if mode == "json":
            found = {k: v.isoformat(timespec="microseconds") if isinstance(v, datetime) else v for k, v in found.items()}
        return found

    def model_dump_json(self) -> str:
        """Compact JSON, its members in the order of the fields."""
        return to_json(self.model_dump(mode="json"))

    @classmethod
    def model_validate(cls, value: Mapping[str, Any]) -> Self:
        """From a dict; ValueError if a field is missing or has a wrong type."""
        if not isinstance(value, Mapping):
            raise ValueError(f"{cls.__name__} is an object, not {value!r}")
        try:
            return cls(**{k: v for k, v in value.items() if k in _hints(cls)})
        except TypeError as error:
            raise ValueError(f"{cls.__name__}: {error}") from None

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> Self:
        """From JSON."""
        return cls.model_validate(json.loads(text))


@dataclass(kw_only=True)
class RobotState(Model):
    """A robot's state: joints in rad, velocities in rad/s, None: not reported; goal times in s."""

    is_connected_l: bool = False
    is_connected_r: bool = False
    joints_l: list[float] | None = None
    joints_r: list[float] | None = None
    velocities_l: list[float] | None = None
    velocities_r: list[float] | None = None
    current_pose: str = "unknown"
    goal_time_slow: float = 2.0
    goal_time_fast: float = 0.5


@dataclass(kw_only=True)
class StrokeProgress(Model):
    """How far a stroke session is."""

    stroke_idx: int = 0
    pose_idx: int = 0
    total_strokes: int = 0
    stroke_length: int = 0
    offset_idx_l: int = 0
    offset_idx_r: int = 0
    stroke_description_l: str = ""
    stroke_description_r: str = ""
    is_executing: bool = False
    is_paused: bool = False
    scene_name: str = "default"
    dataset_name: str | None = None


@dataclass(kw_only=True)
class NodeHealth(Model):
    """A node's health: the agent's measurements (PROTOCOL.md, 4.6)."""

    cpu_percent: float = 0.0
    memory_percent: float = 0.0
    disk_percent: float = 0.0
    gpu_available: bool = False
    gpu_percent: float | None = None
    gpu_memory_percent: float | None = None
    is_reachable: bool = True
    ping_latency_ms: float | None = None
    mcp_server_running: bool = False
    mcp_port: int | None = None
    last_heartbeat: datetime = field(default_factory=now)
