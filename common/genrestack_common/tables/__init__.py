"""Tables as people have them: packed or not, in their separators, encodings and ways to write a number.

Standard library alone; pyarrow is imported by what looks at Parquet, when it is called.
"""
