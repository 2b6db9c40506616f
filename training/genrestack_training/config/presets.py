"""Named settings, and how a TOML file or `--epochs` overrides them."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from genrestack_common.settings import Setting, read_toml, settings_of
from genrestack_common.text import did_you_mean, quoted
from genrestack_training.config.settings import (
    KnnSettings,
    MetaSettings,
    MlpSettings,
    ScalerSettings,
    Settings,
    StackSettings,
    SvcSettings,
)
from genrestack_training.errors import SettingsError

PRESETS: Mapping[str, Settings] = MappingProxyType(
    {
        # Hyperparameter for hyperparameter the stack of the GTZAN notebook.
        "notebook": Settings(),
        # The same stack with a smaller network that learns faster, for tables on which minutes are too long.
        "demo": Settings(mlp=MlpSettings(hidden=(128, 128), learning_rate=1e-3, epochs=25)),
        # What the search of tools/search_preset.py chose for recordings never heard; docs/preset-best.md tells how.
        "best": Settings(
            scaler=ScalerSettings(kind="quantile", normalize_gain="auto"),
            stack=StackSettings(folds_by="tracks", passthrough=False),
            knn=KnnSettings(n_neighbors=20),
            svc=SvcSettings(C=1.0, gamma=0.0157, calibration="sigmoid"),
            mlp=MlpSettings(hidden=(512,), learning_rate=1e-3, epochs=60, batch_size=128, dropout=0.7),
            meta=MetaSettings(C=0.1, max_iter=300),
        ),
    },
)

Overrides = Mapping[str, Mapping[str, Any]]


def resolve_settings(
    preset: str | Settings = "notebook",
    *,
    overrides: Overrides | None = None,
    epochs: int | None = None,
    missing: str | None = None,
    normalize_gain: str | None = None,
) -> Settings:
    """Return a preset's settings with overrides applied.

    Args:
        preset: a key of `PRESETS`, or settings to start from.
        overrides: section → key → value, as in the TOML file.
        epochs: shortcut for `{"mlp": {"epochs": …}}`; it wins over `overrides`.
        missing: shortcut for `{"table": {"missing": …}}`, likewise.
        normalize_gain: shortcut for `{"scaler": {"normalize_gain": …}}`, likewise.

    Raises:
        SettingsError: no such preset, section or key, or a value that cannot be; the message lists what there is.

    """
    settings = preset if isinstance(preset, Settings) else _preset(preset)
    settings = _overridden(settings, overrides or {})
    shortcuts: Overrides = {
        **({} if epochs is None else {"mlp": {"epochs": epochs}}),
        **({} if missing is None else {"table": {"missing": missing}}),
        **({} if normalize_gain is None else {"scaler": {"normalize_gain": normalize_gain}}),
    }
    return _overridden(settings, shortcuts)


def read_overrides(path: str | Path) -> dict[str, dict[str, Any]]:
    """Read overrides from a TOML file and check them.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or holds a setting that does not exist.

    """
    path = Path(path)
    try:
        overrides = read_toml(path)
    except ValueError as exc:
        raise SettingsError(str(exc)) from exc
    try:
        _overridden(Settings(), overrides)
    except SettingsError as exc:
        raise SettingsError(f"{path}: {exc}") from None
    return overrides


def _preset(name: str) -> Settings:
    try:
        return PRESETS[name]
    except KeyError:
        raise SettingsError(f"there is no preset {quoted(name)}; choose one of {', '.join(PRESETS)}") from None


def _overridden(settings: Settings, overrides: Overrides) -> Settings:
    changed = {name: _section(settings, name, values) for name, values in overrides.items()}
    return replace(settings, **changed)


def _section(settings: Settings, name: str, values: Any) -> Any:
    known = [f.name for f in fields(settings)]
    sections = ", ".join(f"[{k}]" for k in known)
    if not isinstance(values, Mapping):
        raise SettingsError(f"{name!r} stands outside a section; the sections are {sections}")
    if name not in known:
        raise SettingsError(f"there is no section [{name}]; the sections are {sections}")
    section = getattr(settings, name)
    kind: type = type(section)
    keys = settings_of(kind)
    return replace(section, **{key: _value(name, key, value, keys) for key, value in values.items()})


def _value(section: str, key: str, value: Any, keys: Mapping[str, Setting]) -> Any:
    if key not in keys:
        raise SettingsError(f"[{section}] has no setting {quoted(key)}{did_you_mean(key, keys)}")
    try:
        return keys[key].of_toml(value)
    except ValueError as exc:
        raise SettingsError(f"[{section}] {key} {exc}") from None
