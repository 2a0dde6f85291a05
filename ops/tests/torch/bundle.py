"""Packs a folder of reference values (.npy and expected.json) as one safetensors file.

    python bundle.py FOLDER OUT.safetensors
"""
import json, struct, sys
from pathlib import Path

import numpy as np


def write(path, tensors):
    """Writes float32 arrays by name."""
    header, blobs, at = {}, [], 0
    for name in sorted(tensors):
        blob = np.ascontiguousarray(tensors[name], dtype="<f4")
        header[name] = dict(dtype="F32", shape=list(blob.shape), data_offsets=[at, at + blob.nbytes])
        blobs.append(blob.tobytes()); at += blob.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def read(path):
    """Reads float32 arrays by name."""
    data = Path(path).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8:8 + size]), data[8 + size:]
    header.pop("__metadata__", None)
    return {name: np.frombuffer(body[t["data_offsets"][0]:t["data_offsets"][1]], "<f4").reshape(t["shape"])
            for name, t in header.items()}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    tensors = {path.stem: np.load(path) for path in sorted(folder.glob("*.npy"))}
    for mode, steps in json.loads((folder / "expected.json").read_text())["modes"].items():
        tensors[f"vae.{mode}.losses"] = np.array([[s["loss"], s["recon"], s["kl"]] for s in steps])
    write(sys.argv[2], tensors)
