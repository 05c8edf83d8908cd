"""Many results read at once: what is the same in several is decoded, checked and kept once. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ganzoo.files.reading import LARGEST, MOST_VALUES, RECORD_BYTES, Unreadable, decode_json, read_inside
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.records import Config, Result, Score

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY = msgspec.json.Decoder()
_TYPES = {field.name: field.type for field in msgspec.structs.fields(Result)}
_SECTIONS = {field.name: field.type for field in msgspec.structs.fields(Config)}
_REQUIRED = {field.name for field in msgspec.structs.fields(Result) if field.required}
_REQUIRED_SECTIONS = {field.name for field in msgspec.structs.fields(Config) if field.required}
_SCORES = ("last", "best", "untrained")  # no two runs have the same

_SHORT = 24  # bytes of a number, true, false or null
_NESTED = 24  # brackets; fewer cannot be nested too deeply
_LONG = 100  # bytes between two quotes; in fewer there is neither a text that is too long nor a number that is
_LARGE = re.compile(rb"[0-9.][eE]\+?[0-9]{2}")  # a number that may be too large for one, among others

_UNSOUND = (ValueError, msgspec.MsgspecError)
"""The latter is one of the former in later versions of msgspec than 0.19."""

_Small = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)] | None


class _Score(Score):
    """Of numbers that need no cleaning."""

    values: dict[str, _Small]
    kimg: Annotated[float, Meta(ge=-LARGEST, le=LARGEST)] = 0.0
    seconds: Annotated[float, Meta(ge=-LARGEST, le=LARGEST)] = 0.0
    sample_img_per_s: Annotated[float, Meta(ge=-LARGEST, le=LARGEST)] = 0.0
    peak_memory: _Small = None


class Results:
    """Reads results of runs as `RunDirectory.read_result` does, and in a tenth of its time where they are many.

    Parts of a result that have the same bytes in several files (protocol, floors, facts of the images, sections of the
    config) are one object in all of them, so nobody may change what this gives.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[bytes, Any]] = {}  # field -> its bytes -> its value
        self._sections: dict[str, dict[bytes, Any]] = {}  # of the config

    def read(self, run: RunDirectory) -> dict[str, Any] | None:
        """The finished run's row, or None while it is not finished.

        Raises:
            RunError: result.json is damaged, of another version, or no plain file.
        """
        try:
            data = read_inside(run.path, "result.json", RECORD_BYTES)
            if len(data) <= MOST_VALUES:
                return self._decoded(data)
        except (FileNotFoundError, Unreadable, *_UNSOUND, RecursionError):
            pass
        return run.read_result()  # which says what is wrong with it, or that it is all right after all

    def _decoded(self, data: bytes) -> dict[str, Any]:
        """Raises one of _UNSOUND for whatever may not be a sound result."""
        parts = _OBJECT.decode(data)
        if not parts.keys() >= _REQUIRED:
            raise ValueError
        result: dict[str, Any] = {}
        scores: dict[bytes, Any] = {}  # the best is the last more often than not
        for key, part in parts.items():
            raw = bytes(part)
            if key in _SCORES:
                if raw not in scores:
                    scores[raw] = _score(key, raw)
                result[key] = scores[raw]
            elif key == "config":
                result[key] = self._config(raw)
            else:
                result[key] = self._shared(key, raw, _TYPES, self._known)
        return result

    def _config(self, raw: bytes) -> dict[str, Any]:
        sections = _OBJECT.decode(raw)
        if not sections.keys() >= _REQUIRED_SECTIONS:
            raise ValueError
        return {key: self._shared(key, bytes(section), _SECTIONS, self._sections) for key, section in sections.items()}

    def _shared(self, key: str, raw: bytes, types: Mapping[str, Any], known: dict[str, dict[bytes, Any]]) -> Any:
        values = known.get(key)
        if values is None:
            values = known[key] = {}
        if raw in values:
            return values[raw]
        value = values[raw] = _part(key, raw, types)
        return value


def _part(key: str, raw: bytes, types: Mapping[str, Any]) -> Any:
    """A field of a result, or of its config, cleaned as `decode_json` does and checked. _UNSOUND: it is not sound."""
    if key not in types and not (key.isascii() and key.isprintable() and len(key) <= _LONG):
        raise ValueError
    if len(raw) <= _SHORT and not (raw[0] in b'"[{' or b"e" in raw or b"E" in raw):
        value = _ANY.decode(raw)  # a number, true, false or null
    elif _is_plain(raw) and not _LARGE.search(raw):
        value = _ANY.decode(raw)
    else:
        value = decode_json(b"[[" + raw + b"]]")[0][0]  # as deep as it is in the record
    if key in types:
        msgspec.convert(value, types[key])
    return value


def _score(key: str, raw: bytes) -> Any:
    """As `_part`; most of the time goes here."""
    if not _is_plain(raw):
        return _part(key, raw, _TYPES)
    value = _ANY.decode(raw)
    try:
        msgspec.convert(value, _Score | None)
    except _UNSOUND:
        return _part(key, raw, _TYPES)
    if value is not None and not value.keys() <= _KNOWN:
        return _part(key, raw, _TYPES)
    return value


_KNOWN = {field.name for field in msgspec.structs.fields(Score)}


def _is_plain(raw: bytes) -> bool:
    """Whether there is surely no text in JSON that has to be cleaned, and no number of too many digits, at a fraction
    of the cost of looking at each.
    """
    return (
        raw.isascii()
        and b"\\" not in raw
        and b"\x7f" not in raw
        and raw.count(b"{") + raw.count(b"[") <= _NESTED
        and max(map(len, raw.split(b'"'))) <= _LONG
    )
