"""A server as a process: what it does to the process it is."""

from pathlib import Path

from bundle.processes import run_script

_SERVE = """
import asyncio, gc, sys
from pathlib import Path
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.process.runner import ServerRunner
from genrestack_server.server import Server

async def main():
    # Nothing collects, so that memory comes back by reference counts alone, as it has to after the freeze.
    gc.disable()
    import weakref
    models = {"models_dir": Path(sys.argv[1]), "repository_mode": "explicit", "load_models": ("tiny",)}
    server = Server(ServerConfig(port=0, **models))
    runner = ServerRunner(5.0)
    before = gc.get_freeze_count()
    checked = asyncio.Event()

    async def unload():
        (served,) = server.models
        session = weakref.ref(served.session)
        del served
        await server.engine.manager.unload("tiny")
        await asyncio.sleep(0.1)
        print("freed:", session() is None)
        runner.stop(at_once=True)

    def serving():
        print("frozen:", before, gc.get_freeze_count() > 10_000)
        runner.task = asyncio.create_task(unload())

    await runner.run(server, serving)
    sys.stdout.flush()

asyncio.run(main())
"""


def test_what_is_there_once_it_serves_is_not_collected_again_and_a_model_still_goes(tiny_models: Path) -> None:
    assert run_script(_SERVE, tiny_models).splitlines() == ["frozen: 0 True", "freed: True"]
