"""Converts musicnn (Pons and Serra 2019; ISC licence) from its wheel on PyPI to ONNX: reads the checkpoint without TensorFlow.

    pip download musicnn==0.1.0 --no-deps && pip install numpy onnx
    python pipelines/pretrained_musicnn.py musicnn-0.1.0-py3-none-any.whl musicnn.onnx

The network takes images of 96 mel bands x 188 frames in decibels, as `pretrained.yaml` makes them: decibels become
log10(1 + 10000 power), and the last frame is cut, inside the graph. Its tensors `mean_pool` and `max_pool` (753 features),
`penultimate` (200) and `tags` (50) can be named as `output` of the op `onnx`.
"""
import io
import struct
import sys
import zipfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FRAMES, BANDS = 187, 96


def number(data, at):
    """A variable-length number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def message(data):
    """The fields of a protocol buffer."""
    at = 0
    while at < len(data):
        tag, at = number(data, at)
        if tag & 7 == 0:
            value, at = number(data, at)
        else:
            size, at = {1: (8, at), 5: (4, at)}.get(tag & 7) or number(data, at)
            value, at = data[at:at + size], at + size
        yield tag >> 3, value


def entries(index, at, size):
    """Keys and values of a block of a sorted table, whose keys share beginnings."""
    block = index[at:at + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    key, at, end = b"", 0, len(block) - 4 * (restarts + 1)
    while at < end:
        shared, at = number(block, at)
        own, at = number(block, at)
        length, at = number(block, at)
        key, at = key[:shared] + block[at:at + own], at + own
        yield key.decode(), block[at:at + length]
        at += length


def checkpoint(index, data):
    """The single-precision tensors of a TensorFlow checkpoint."""
    found, footer = {}, index[-48:]
    at = number(footer, number(footer, 0)[1])[1]
    start, at = number(footer, at)
    for _, handle in entries(index, start, number(footer, at)[0]):
        start, at = number(handle, 0)
        for name, entry in entries(index, start, number(handle, at)[0]):
            fields = dict(message(entry))
            if name and fields.get(1) == 1:
                shape = [dict(message(size)).get(1, 0) for field, size in message(fields.get(2, b"")) if field == 2]
                values = np.frombuffer(data, "<f4", int(np.prod(shape)), fields.get(4, 0))
                found[name] = values.reshape(shape)
    return found


class Graph:
    def __init__(self, weights):
        self.weights, self.nodes, self.constants = weights, [], []

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, kind, *inputs, name=None, **attributes):
        inputs = [it if isinstance(it, str) else self.constant(it) for it in inputs]
        name = name or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def layer(self, kind, number):
        """The weights of the n-th layer of a kind, by their last names."""
        prefix = f"{kind}_{number}/" if number else f"{kind}/"
        return {key[len(prefix):]: value for key, value in self.weights.items() if key.startswith(prefix)}

    def norm(self, x, number, **attributes):
        own = self.layer("batch_normalization", number)
        parts = [own[part] for part in ("gamma", "beta", "moving_mean", "moving_variance")]
        return self.add("BatchNormalization", x, *parts, epsilon=1e-3, **attributes)

    def conv(self, x, number, before, after):
        """A convolution that is padded over time, with ReLU and normalisation."""
        own = self.layer("conv2d", number)
        kernel = own["kernel"].transpose(3, 2, 0, 1)
        x = self.add("Conv", x, kernel, own["bias"], pads=[before, 0, after, 0], kernel_shape=kernel.shape[2:])
        return self.norm(self.add("Relu", x), number + 1)

    def dense(self, x, number):
        own = self.layer("dense", number)
        return self.add("Gemm", x, own["kernel"], own["bias"])


def network(weights):
    it = Graph(weights)
    whole = lambda *values: np.array(values, np.int64)
    real = lambda value: np.array(value, np.float32)
    # Decibels are 10 log10 of the power; the network was trained on log10(1 + 10000 power).
    x = it.add("Slice", "decibels", whole(0), whole(FRAMES), whole(3))
    x = it.add("Exp", it.add("Mul", x, real(np.log(10) / 10)))
    x = it.add("Log", it.add("Add", it.add("Mul", x, real(10000)), real(1)))
    x = it.add("Transpose", it.add("Mul", x, real(1 / np.log(10))), perm=[0, 1, 3, 2])
    x = it.norm(x, 0)
    # Two kernels of timbre and three of rhythm, each with the largest value over the bands; TensorFlow pads an even
    # kernel by one more behind than before.
    sides = [(3, 3), (3, 3)] + [((taps - 1) // 2, taps // 2) for taps in (128, 64, 32)]
    front = [it.add("ReduceMax", it.conv(x, at, *side), axes=[3]) for at, side in enumerate(sides)]
    turned = lambda x: it.add("Transpose", x, perm=[0, 3, 2, 1])
    front = turned(it.add("Concat", *front, axis=1))
    first = turned(it.conv(front, 5, 3, 3))
    second = it.add("Add", turned(it.conv(first, 6, 3, 3)), first)
    third = it.add("Add", turned(it.conv(second, 7, 3, 3)), second)
    all_ = it.add("Concat", front, first, second, third, axis=3)
    largest = it.add("ReduceMax", all_, axes=[1, 2], keepdims=0, name="max_pool")
    mean = it.add("ReduceMean", all_, axes=[1, 2], keepdims=0, name="mean_pool")
    both = it.add("Concat", it.add("Unsqueeze", largest, whole(2)), it.add("Unsqueeze", mean, whole(2)), axis=2)
    x = it.norm(it.add("Flatten", both), 9)
    x = it.norm(it.add("Relu", it.dense(x, 0)), 10, name="penultimate")
    it.add("Sigmoid", it.dense(x, 1), name="tags")
    value = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["clips", *shape])
    outputs = [value("mean_pool", 753), value("max_pool", 753), value("penultimate", 200), value("tags", 50)]
    inputs = [value("decibels", 1, BANDS, FRAMES + 1)]
    graph = helper.make_graph(it.nodes, "musicnn", inputs, outputs, it.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def main(wheel, to, folder="musicnn/MTT_musicnn/"):
    with zipfile.ZipFile(io.BytesIO(open(wheel, "rb").read())) as files:
        index, data = files.read(f"{folder}.index"), files.read(f"{folder}.data-00000-of-00001")
    onnx.save(network(checkpoint(index, data)), to)


if __name__ == "__main__":
    main(*sys.argv[1:])
