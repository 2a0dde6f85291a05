"""Reads safetensors files: models of the store. The form is simple enough to need no library but NumPy."""

from __future__ import annotations

import json
import os
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "?"}


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, numpy.ndarray], dict[str, Any]]:
    """The arrays of a safetensors file by name, and the facts that the engine wrote beside them.

    Raises `ValueError` where the file is damaged.
    """
    import numpy

    with open(path, "rb") as file:
        data = file.read()
    try:
        (size,) = struct.unpack("<Q", data[:8])
        if size > len(data) - 8:
            raise ValueError("its header is longer than the file")
        header = json.loads(data[8 : 8 + size])
        body = memoryview(data)[8 + size :]
        facts = json.loads(header.pop("__metadata__", {}).get("engine", "{}"))
        arrays = {}
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            if not 0 <= start <= end <= len(body):
                raise ValueError(f"tensor {name!r} lies beyond its end")
            values = numpy.frombuffer(body[start:end], dtype=_TYPES[entry["dtype"]])
            arrays[name] = values.reshape(entry["shape"])
    except (KeyError, ValueError, TypeError, AttributeError, struct.error) as fault:
        raise ValueError(f"{os.fspath(path)} is not a whole safetensors file: {fault}") from fault
    return arrays, facts.get("meta", facts)
