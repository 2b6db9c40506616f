"""Build hook: native operators go into the wheel where they can be compiled, and the wheel is then for one platform.

Without a C compiler, or with GENRESTACK_NO_NATIVE=1, the wheel is made without them and for every platform. An editable
installation has them beside their sources, which is where a wheel's come from, too.
"""

import importlib.util
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FOLDER = Path("bundle", "genrestack_bundle", "native")
_TARGET = "genrestack_bundle/native"


class NativeOperators(BuildHookInterface[Any]):  # type: ignore[misc, unused-ignore]
    """Compiles the library before a wheel is put together."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the library, and have it packed; `version` is `standard` or `editable`."""
        native = _load(Path(self.root) / _FOLDER / "build.py")
        library = Path(self.root) / _FOLDER / native.LIBRARY
        try:
            native.ensure(library)
        except native.NotBuilt as reason:
            print(f"genrestack: without native operators: {reason}", file=sys.stderr)  # noqa: T201
            return
        if version == "editable":
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        build_data["force_include"][str(library)] = f"{_TARGET}/{native.LIBRARY}"


def _load(path: Path) -> ModuleType:
    """Load a module from its file: the package around it needs what is not installed yet."""
    spec = importlib.util.spec_from_file_location("genrestack_native_build", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
