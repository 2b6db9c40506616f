"""Compile the protos with the pinned generator: `python tools/generate_protos.py [OUTPUT]`.

Writes `.py` and `.pyi` beside the `.proto` files, or below OUTPUT, so that a test can compare the two.
"""

import importlib.metadata
import sys
from importlib.resources import files
from pathlib import Path

from google.rpc import status_pb2
from grpc_tools import protoc

PINNED = {"grpcio-tools": "1.80.0", "mypy-protobuf": "5.1.0"}
ROOT = Path(__file__).resolve().parent.parent / "proto"


def check_generator() -> None:
    """Stop if a generator other than the pinned one would run: its output would differ for no reason of ours."""
    for name, wanted in PINNED.items():
        found = importlib.metadata.version(name)
        if found != wanted:
            sys.exit(f"{name} is {found}, the protos are generated with {wanted}; run `make setup` and try again")


def generate(output: Path) -> None:
    """Compile every proto below `proto/` into `output`."""
    check_generator()
    scripts = Path(sys.executable).parent
    protos = sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("genrestack_proto/v*/*.proto"))
    services = [p for p in protos if "service " in (ROOT / p).read_text(encoding="utf-8")]
    common = [
        "protoc",
        f"-I{ROOT}",
        f"-I{files('grpc_tools') / '_proto'}",
        f"-I{Path(status_pb2.__file__).parents[2]}",
    ]
    messages = [
        f"--python_out={output}",
        f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
        f"--mypy_out=quiet:{output}",
    ]
    stubs = [
        f"--grpc_python_out={output}",
        f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
        f"--mypy_grpc_out=quiet:{output}",
    ]
    for arguments in ([*common, *messages, *protos], [*common, *stubs, *services]):
        if protoc.main(arguments) != 0:
            sys.exit("protoc failed; what it said stands above")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
