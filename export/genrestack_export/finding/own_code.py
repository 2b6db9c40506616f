"""Somebody's own code that a pickle needs: functions of a notebook, layers and losses of a network.

A pickle names its functions and classes by module and name. Those of a notebook or a script are in `__main__`, which is
another program by the time the pickle is read, and Keras knows layers of somebody's own only if they were registered.
"""

import builtins
import dis
import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from genrestack_export.errors import ExportError

# What notebooks call the libraries that a Lambda layer uses. A Lambda is saved as byte code, without what it refers to.
_ALIASES = {
    "K": "keras.backend", "keras": "keras", "layers": "keras.layers", "math": "math", "np": "numpy", "numpy": "numpy",
    "ops": "keras.ops", "tensorflow": "tensorflow", "tf": "tensorflow",
}  # fmt: skip


@contextmanager
def own_code(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Run files and yield what they define, by name; pickles find it under the files' modules and in `__main__`.

    Raises:
        ExportError: a file is missing, or does not run.

    """
    path, modules, registered = list(sys.path), dict(sys.modules), set(_registered())
    names: dict[str, Any] = {}
    try:
        for file in files:
            names |= vars(_run(file))
        own = {name: value for name, value in names.items() if not name.startswith("__")}
        with _in_main(own):
            yield own
    finally:
        own_ids = {id(value) for value in names.values()}
        for name, value in list(_registered().items()):
            if name not in registered and id(value) in own_ids:
                del _registered()[name]
        sys.path[:] = path
        for name in {_module_name(file) for file in files}:
            sys.modules.pop(name, None)
            if name in modules:
                sys.modules[name] = modules[name]


@contextmanager
def keras_objects(names: Mapping[str, Any]) -> Iterator[None]:
    """Let Keras load networks with these layers, losses and functions, and with Lambdas.

    Keras refuses Lambdas because they are code. So is the pickle that they are in.

    Raises:
        NameError: inside, when a Lambda is loaded that uses what is defined neither here nor in `names`.

    """
    from keras.saving import custom_object_scope
    from keras.src.saving.serialization_lib import SafeModeScope
    from keras.src.utils import python_utils

    original = python_utils.func_load

    def load_function(code: Any, defaults: Any = None, closure: Any = None, globs: Any = None) -> Any:
        function = original(code, defaults, closure, globs or {**_aliases(), **names})
        _check_globals(function.__code__, function.__globals__)
        return function

    python_utils.func_load = load_function
    try:
        with custom_object_scope(_by_registered_name(names)), SafeModeScope(safe_mode=False), _compiled_if_possible():
            yield
    finally:
        python_utils.func_load = original


@contextmanager
def _compiled_if_possible() -> Iterator[None]:
    """Let networks load whose loss, metrics or optimizer nobody knows: they were for fitting, and answer no rows."""
    from keras import Model

    inherited, own = Model.compile_from_config, vars(Model).get("compile_from_config")

    def compile_from_config(network: Any, config: Any) -> None:
        with suppress(Exception):
            inherited(network, config)

    Model.compile_from_config = compile_from_config
    try:
        yield
    finally:
        if own is None:
            del Model.compile_from_config
        else:
            Model.compile_from_config = own


def _registered() -> dict[str, Any]:
    """Return what is registered with Keras, by name, without importing it."""
    if "keras" not in sys.modules:
        return {}
    from keras.saving import get_custom_objects

    found: dict[str, Any] = get_custom_objects()
    return found


def _check_globals(code: CodeType, known: Mapping[str, Any]) -> None:
    """Raise NameError for what a function refers to in vain, which would show only when it is called."""
    for instruction in dis.get_instructions(code):
        name = str(instruction.argval)
        if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME"} and name not in known and not hasattr(builtins, name):
            raise NameError(f"name {name!r} is not defined", name=name)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            _check_globals(inner, known)


def _by_registered_name(names: Mapping[str, Any]) -> dict[str, Any]:
    objects: dict[str, Any] = {}
    for name, value in names.items():
        if inspect.isfunction(value):
            objects[name] = objects[value.__name__] = value
        elif inspect.isclass(value):
            objects[name] = objects[value.__name__] = value
            # scikeras registers a network of somebody's own class under what its name is nested in: mostly nothing.
            outer, _, inner = value.__qualname__.rpartition(".")
            objects[f"{outer}>{inner}"] = value
            nested = {key: one for key, one in vars(value).items() if inspect.isclass(one) and not key.startswith("_")}
            objects |= {key: one for key, one in _by_registered_name(nested).items() if key not in objects}
    return objects


def _aliases() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for alias, module in _ALIASES.items():
        try:
            found[alias] = importlib.import_module(module)
        except ImportError:
            continue
    return found


def _module_name(file: Path) -> str:
    """Return the name that a file is imported by: its own, unless a module of that name belongs to Python or to us."""
    taken = file.stem in sys.stdlib_module_names or file.stem.startswith("genrestack")
    return f"own_{file.stem}" if taken or not file.stem.isidentifier() else file.stem


def _run(file: Path) -> ModuleType:
    if file.suffix == ".ipynb":
        raise ExportError(
            f"{file} is a notebook; save its code as a .py file: jupyter nbconvert --to script {file.name}"
        )
    if not file.is_file():
        raise ExportError(f"there is no file {file}; check the path that --code names")
    # Its own imports look beside it first, as they do when it is run as a script.
    sys.path.insert(0, str(file.resolve().parent))
    name = _module_name(file)
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module
    try:
        # Not by an import: that would leave byte code beside the file.
        exec(compile(file.read_bytes(), str(file), "exec"), vars(module))  # noqa: S102
    except SyntaxError as error:
        raise ExportError(f"{file}, line {error.lineno or 1}: this is not Python; fix the file") from error
    except ModuleNotFoundError as error:
        raise ExportError(
            f"{file} needs the Python module {error.name!r}, which is not installed here; install it"
        ) from error
    except (Exception, SystemExit) as error:
        raise ExportError(
            f"{file}, line {_line(error, file)}: {type(error).__name__} while the file ran; fix it, or name a file "
            "that only defines what the pickle needs"
        ) from error
    return module


def _line(error: BaseException, file: Path) -> int:
    """Return the line of the file that an error came from."""
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


@contextmanager
def _in_main(names: Mapping[str, Any]) -> Iterator[None]:
    """Put names into `__main__` for a while."""
    main = vars(sys.modules["__main__"])
    before = dict(main)
    main.update(names)
    try:
        yield
    finally:
        for name in names:
            main.pop(name, None)
            if name in before:
                main[name] = before[name]
