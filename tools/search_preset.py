"""Search the preset `best`, and look at its outer folds; docs/preset-best.md is the record.

    python tools/search_preset.py search --table features_3_sec.csv.gz --artists gtzan_artist_groups.csv
    python tools/search_preset.py look   --table features_3_sec.csv.gz --artists gtzan_artist_groups.csv
    python tools/search_preset.py tell   --table features_3_sec.csv.gz --artists gtzan_artist_groups.csv

`search` tries candidates on the inner folds of every outer training side; `look` fits `notebook` and `best` on the
outer folds; `tell` prints the figures. Each goes on where it was interrupted.
"""

import argparse
import os
import sys
from pathlib import Path

# One thread a process: run one process for each unit.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.preset_search.looking import PRESETS, look
from tools.preset_search.partition import read_partition
from tools.preset_search.searching import search
from tools.preset_search.telling import tell


def main() -> int:
    """Do what was asked."""
    options = _options()
    partitions = [read_partition(options.table, options.artists, unit, options.seed) for unit in options.unit]
    if options.what == "search":
        search(partitions, options.cache / "inner", options.record, options.seed, options.fold)
    for partition in partitions if options.what == "look" else ():
        for preset in options.preset:
            look(partition, preset, options.cache, options.seed, options.jobs)
    for partition in partitions if options.what == "tell" else ():
        tell(partition, options.cache, options.record, options.seed)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["search", "look", "tell"])
    parser.add_argument("--table", type=Path, required=True, help="the 3-second table")
    parser.add_argument("--artists", type=Path, required=True, help="CSV: filename, artist_group")
    parser.add_argument("--unit", nargs="+", choices=["track", "artist"], default=["track", "artist"])
    parser.add_argument("--preset", nargs="+", choices=PRESETS, default=list(PRESETS), help="for look")
    parser.add_argument("--fold", type=int, default=0, help="for search: the outer fold whose training side searches")
    parser.add_argument("--record", type=Path, default=Path("docs/search"), help="where the record goes")
    parser.add_argument("--cache", type=Path, default=Path(".preset-search"), help="where finished fits are kept")
    parser.add_argument("--jobs", type=int, help="for look: fits at once; one for each CPU if not given")
    parser.add_argument("--seed", type=int, default=42)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
