"""What a version had in memory is the system's again once the version is unloaded."""

import asyncio
import gc
from pathlib import Path

import numpy as np
import onnx
import psutil
from bundle.reseal import change_graph
from onnx import helper, numpy_helper
from server.bundles.tiny import TinyStack, write_tiny
from server.running.live import RunServer
from server.running.watching import ask, manager, on_loop
from support.waiting import until

LOADS = 30
WARM_UP = 5
BALLAST_BYTES = 4 * 2**20


def ballast(model: onnx.ModelProto) -> None:
    """Weights that weigh and change nothing."""
    width = BALLAST_BYTES // 8 // 2 // 3
    for node in model.graph.node:
        node.output[:] = ["was" if name == "probabilities" else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.random.default_rng(0).random((3, width)), "spread"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((width, 3)), "gather"))
    model.graph.node.extend(
        [
            helper.make_node("MatMul", ["was", "spread"], ["wide"]),
            helper.make_node("MatMul", ["wide", "gather"], ["nothing"]),
            helper.make_node("Add", ["was", "nothing"], ["probabilities"]),
        ]
    )


def test_unloading_gives_the_memory_back(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    change_graph(write_tiny(tmp_path, "tiny", stack), "left.onnx", ballast)
    process = psutil.Process()
    loaded, unloaded = [], []
    with run_server(tmp_path, repository_mode="explicit") as running:
        models = manager(running)
        gc.disable()
        try:
            for number in range(LOADS):
                on_loop(running, models.load("tiny"))
                assert ask(running).version == 1
                loaded.append(process.memory_info().rss)
                on_loop(running, models.unload("tiny"))
                on_loop(running, asyncio.sleep(0.02))
                if number >= WARM_UP:
                    # Given back aside, a moment later.
                    until(lambda: loaded[-1] - process.memory_info().rss > BALLAST_BYTES, "its memory is kept")
                unloaded.append(process.memory_info().rss)
        finally:
            gc.enable()
    level = unloaded[WARM_UP]
    assert abs(np.array(unloaded[WARM_UP:]) / level - 1).max() < 0.05
