"""Tables and settings that nothing can be trained on."""

import gzip
import zipfile
from collections.abc import Iterator

from tools.bad_input.finding import Finding
from tools.bad_input.world import FEATURES, World

TITLE = "Training"
_HEADER = [*FEATURES, "label"]


def walk(world: World) -> Iterator[Finding]:
    """Pass each of them to `genrestack train`."""
    for title, name in _tables(world):
        yield world.run(title, "train", name)
    for title, arguments in _options(world):
        yield world.run(title, "train", "digits.csv", *arguments)
    songs = _songs(world)
    for title, table, arguments in _groups(world):
        yield world.run(title, "train", table or songs, "--split", "artist", *arguments)


def _tables(world: World) -> Iterator[tuple[str, str]]:
    yield from _files(world)
    yield from _columns(world)
    yield from _labels(world)


def _files(world: World) -> Iterator[tuple[str, str]]:
    folder = world.folder
    yield "A file that is not there", "gone.csv"
    yield "A folder", "runs"
    (folder / "song.mp3").write_bytes(b"ID3")
    yield "A file of another kind", "song.mp3"
    (folder / "empty.csv").write_bytes(b"")
    yield "An empty file", "empty.csv"
    yield "A header without rows", world.table("header.csv", _HEADER, []).name
    (folder / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    yield "Not a table: a picture", "picture.csv"
    (folder / "letter.csv").write_text('Dear all, "see\nbelow\n', encoding="utf-8")
    yield "Not a table: prose", "letter.csv"
    (folder / "latin.csv").write_bytes("größe,label\n1,a\n".encode("latin-1"))
    yield "Not UTF-8", "latin.csv"
    (folder / "plain.csv.gz").write_bytes(b"a,label\n1,x\n")
    yield "Not gzip", "plain.csv.gz"
    (folder / "cut.csv.gz").write_bytes(gzip.compress((folder / "digits.csv").read_bytes())[:-20])
    yield "A gzip file cut short", "cut.csv.gz"
    (folder / "no.parquet").write_bytes(b"a,label\n1,x\n")
    yield "Not Parquet", "no.parquet"
    (folder / "blanks.csv").write_text("a b label\n1 2 x\n", encoding="utf-8")
    yield "Blanks between columns", "blanks.csv"
    (folder / "headless.csv").write_text("0.5,0.25,x\n0.75,1.5,y\n", encoding="utf-8")
    yield "No header", "headless.csv"
    (folder / "levels.csv").write_text("mfcc,mfcc,label\nmean,var,\n0.5,1.5,x\n", encoding="utf-8")
    yield "Two lines of header", "levels.csv"
    with zipfile.ZipFile(folder / "two.zip", "w") as archive:
        archive.writestr("train.csv", "")
        archive.writestr("test.csv", "")
    yield "A zip of two tables", "two.zip"
    (folder / "ragged.csv").write_text("a,b,label\n1,2,x\n1,2,3,x\n", encoding="utf-8")
    yield "A row longer than the header", "ragged.csv"
    (folder / "short.csv").write_text("a,b,label\n1,2,x\n1,x\n3,4,y\n", encoding="utf-8")
    yield "A row shorter than the header", "short.csv"


def _columns(world: World) -> Iterator[tuple[str, str]]:
    bare = [row[:-1] for row in world.rows]
    yield "No label column", world.table("nolabel.csv", FEATURES, bare).name
    yield "A column twice", world.table("twice.csv", [*FEATURES[:-1], "pixel_3", "label"], world.rows).name
    yield "A column without a name", world.table("noname.csv", ["", *FEATURES[1:], "label"], world.rows).name
    yield "A text where a number belongs", world.changed("text.csv", 7, 5, "loud").name
    (world.folder / "tracks.csv").write_text("track,artist,a,label\nOne,Ann,1,x\nTwo,Bob,2,y\n", encoding="utf-8")
    yield "Several columns of text", "tracks.csv"
    (world.folder / "thousands.csv").write_text('a,b,label\n"12,304.5",1,x\n', encoding="utf-8")
    yield "Marks between thousands", "thousands.csv"
    yield "NaN", world.changed("nan.csv", 7, 5, "nan").name
    yield "Infinity", world.changed("inf.csv", 9, 6, "-inf").name
    yield "An empty cell", world.changed("hole.csv", 3, 2, "").name
    yield "Labels and no features", world.table("bare.csv", ["label"], [row[-1:] for row in world.rows]).name


def _labels(world: World) -> Iterator[tuple[str, str]]:
    yield "A row without a label", world.changed("nolabelhere.csv", 11, 64, "").name
    yield "Too few rows in a class", world.changed("few.csv", 0, 64, "rare").name
    yield "One class only", world.table("one.csv", _HEADER, [[*row[:-1], "same"] for row in world.rows]).name
    yield "Labels that are fractions", world.table("half.csv", _HEADER, [[*row[:-1], 0.5] for row in world.rows]).name


def _options(world: World) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "A column that is not there", ("--drop", "pixle_3")
    yield "An unknown preset", ("--preset", "finest")
    yield "An unknown split", ("--split", "artists")
    yield "No epochs at all", ("--epochs", "0")
    yield "A seed too large", ("--seed", "4294967296")
    yield "A label column that is not there", ("--label", "genre")
    yield "A name that cannot be a folder", ("--name", "../mine")
    yield "A run that is there already", ("--run", "runs/digits/first")
    yield "An unknown precision", ("--precision", "half")
    for title, name, text in (
        ("A settings file that is not TOML", "broken.toml", "epochs: 5\n"),
        ("An unknown section", "section.toml", "[forest]\ntrees = 5\n"),
        ("An unknown setting", "setting.toml", "[knn]\nneighbours = 5\n"),
        ("A setting out of range", "range.toml", "[svc]\nC = -1\n"),
        ("A setting of another type", "type.toml", '[mlp]\nepochs = "many"\n'),
        ("More neighbours than rows", "many.toml", '[stack]\nestimators = ["knn"]\n[knn]\nn_neighbors = 5000\n'),
    ):
        (world.folder / name).write_text(text, encoding="utf-8")
        yield title, ("--settings", name)
    yield "A settings file that is not there", ("--settings", "gone.toml")


def _songs(world: World) -> str:
    """Write the table once more, with a recording for every two rows."""
    rows = [[f"song{number // 2}.wav", *row] for number, row in enumerate(world.rows)]
    return world.table("songs.csv", ["filename", *_HEADER], rows).name


def _groups(world: World) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    yield "Artists, and nothing that says whose a recording is", "", ()
    yield "A table that names no recordings, and a groups file", "digits.csv", ("--groups", _artists(world, "all.csv"))
    yield "An artist column that is not there", "", ("--artist-column", "singer")
    yield "A groups file that is not there", "", ("--groups", "gone.csv")
    for title, name, text in (
        ("A groups file without a line", "nolines.csv", "filename,artist\n"),
        ("A groups file without filenames", "nonames.csv", "song,artist\na.wav,Ann\n"),
        ("A groups file with two columns that may be meant", "which.csv", "filename,singer,album\na.wav,Ann,One\n"),
        ("A groups file with a gap", "gap.csv", "filename,artist\nsong0.wav,Ann\nsong1.wav,\n"),
        ("A recording of two artists", "both.csv", "filename,artist\nsong0.wav,Ann\nsong0.wav,Ben\n"),
        ("One recording, two extensions, two artists", "twins.csv", "filename,artist\ns.wav,Ann\ns.mp3,Ben\n"),
        ("A groups file of other recordings", "others.csv", "filename,artist\nelse.wav,Ann\n"),
    ):
        (world.folder / name).write_text(text, encoding="utf-8")
        yield title, "", ("--groups", name)
    yield "One artist alone", "", ("--groups", _artists(world, "alone.csv", artists=1))
    (world.folder / "latin-groups.csv").write_bytes("filename,artist\nsong0.wav,Zoë\n".encode("latin-1"))
    yield "A groups file that is not UTF-8", "", ("--groups", "latin-groups.csv")


def _artists(world: World, name: str, artists: int = 20) -> str:
    """Write a groups file that knows every recording of `_songs`."""
    rows = [[f"song{number}.wav", f"artist {number % artists}"] for number in range(len(world.rows) // 2)]
    return world.table(name, ["filename", "artist"], rows).name
