"""Ray Serve with some replicas, until a line comes: `python -m benchmarks.ray_server REPOSITORY REPLICAS`.

Prints its address once it answers. Threads are shared among the replicas, as the workers of a server share them.
"""

import os
import sys
from typing import Final

from benchmarks.contestants.contest import threads

PORT: Final = 50061


def main(repository: str, replicas: int) -> None:
    """Serve."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    import ray
    from ray import serve

    from genrestack_server.ray_app import app

    ray.init(num_cpus=threads(), include_dashboard=False, log_to_driver=False, logging_level="critical")
    options = {"port": PORT, "grpc_servicer_functions": ["genrestack_server.ray_app.add_prediction_service"]}
    serve.start(http_options={"host": "127.0.0.1"}, grpc_options=options, logging_config={"enable_access_log": False})
    share = max(1, threads() // replicas)
    arguments = {"models_dir": repository, "min_replicas": replicas, "max_replicas": replicas, "num_cpus": 0}
    serve.run(app({**arguments, "threads": share}))
    print(f"127.0.0.1:{PORT}", flush=True)
    sys.stdin.readline()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
