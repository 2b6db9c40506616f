"""Write the table of the server's settings into docs/operations.md, from the settings themselves.

python tools/settings_table.py          # print it
python tools/settings_table.py --write
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from genrestack_common.settings import Setting, settings_of
from genrestack_server.config.server_config import SECTIONS, ServerConfig
from tools.marked_page import MarkedPage

PAGE = MarkedPage(
    Path(__file__).resolve().parent.parent / "docs" / "operations.md",
    "<!-- settings: made by tools/settings_table.py -->\n",
    "<!-- end of settings -->",
)


def main() -> None:
    """Print the tables, or put them into the page."""
    if sys.argv[1:] == ["--write"]:
        PAGE.write(tables())
    else:
        print(tables())


def tables() -> str:
    """Return one table a section."""
    return "\n".join(_table(section, title) for section, title in SECTIONS.items())


def _table(section: str, title: str) -> str:
    rows = [_row(setting) for setting in settings_of(ServerConfig).values() if setting.section == section]
    head = "| flag | key | may be | default | what it is |\n|---|---|---|---|---|\n"
    return f"### {title}: `[{section}]`\n\n{head}{''.join(rows)}"


def _row(setting: Setting) -> str:
    flag = f"`[{setting.metavar}]`" if setting.argument else f"`{setting.option}`"
    if setting.kind is bool:
        flag += f", `--no-{setting.option.removeprefix('--')}`"
    cells = [flag, f"`{setting.name}`", setting.expected, _default(setting), setting.about]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |\n"


def _default(setting: Setting) -> str:
    if setting.default is None:
        return setting.unset
    if setting.kind is bool:
        return str(setting.default).lower()
    return f"`{setting.default}`" if setting.default != () else "none"


if __name__ == "__main__":
    main()
