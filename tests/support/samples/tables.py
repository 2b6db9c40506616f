"""One small table, written in every way that people write tables in."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from typing import Any

from training.conftest import small_frame


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zip": lambda content: zipped({"t.csv": content}),
}

FRAME = small_frame(12)
FEATURES = FRAME.drop(columns="label").to_numpy()
LABELS = FRAME["label"].tolist()


def csv(**options: Any) -> str:
    text: str = FRAME.to_csv(index=False, **options)
    return text


WAYS: dict[str, tuple[str, bytes]] = {
    "semicolons": ("t.csv", csv(sep=";").encode()),
    "semicolons and decimal commas": ("t.csv", csv(sep=";", decimal=",").encode()),
    "decimal commas in quotes": ("t.csv", csv(decimal=",", quoting=1).encode()),
    "tabs": ("t.tsv", csv(sep="\t").encode()),
    "tabs in a csv": ("t.csv", csv(sep="\t").encode()),
    "bars in a txt": ("t.txt", csv(sep="|").encode()),
    "UTF-16": ("t.csv", csv().encode("utf-16")),
    "UTF-16 as Excel writes it": ("t.txt", csv(sep="\t", decimal=",", lineterminator="\r\n").encode("utf-16")),
    "UTF-16 without a mark": ("t.csv", csv().encode("utf-16-be")),
    "byte order mark": ("t.csv", csv(lineterminator="\r\n").encode("utf-8-sig")),
    "byte order mark and sep=": ("t.csv", ("sep=;\r\n" + csv(sep=";")).encode("utf-8-sig")),
    "comments": ("t.csv", ("# made, by hand\n# twice\n" + csv()).encode()),
    "blanks after commas": ("t.csv", csv().replace(",", ", ").encode()),
    "blanks and quotes": ("t.csv", csv(quoting=1).replace('","', '", "').encode()),
    "gzip": ("t.tsv.gz", gzip.compress(csv(sep="\t").encode())),
    "bzip2": ("t.csv.bz2", bz2.compress(csv().encode())),
    "xz": ("T.CSV.XZ", lzma.compress(csv().encode())),
    "zip": ("t.csv.zip", zipped({"t.csv": csv().encode()})),
    "zip of another name": ("t.zip", zipped({"songs/t.txt": csv(sep=";", decimal=",").encode("utf-16")})),
    "blank rows": ("t.csv", csv().replace("\n", "\n,,,,\n").encode()),
}
