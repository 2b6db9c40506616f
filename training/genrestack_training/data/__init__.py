"""From a file to checked rows: tables, groups, splits."""
