"""Rows in Parquet files, as pyarrow and with it the datasets library write them, and as JSON lines.

    pip install pyarrow
    python crates/peft-data/tests/make_parquet.py
"""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

OUT = pathlib.Path(__file__).parent / "goldens"

ROWS = [
    {
        "messages": [
            {"role": "user", "content": "a\nb"},
            {"role": "assistant", "content": "é"},
        ],
        "text": 'quotes " and, commas',
        "label": 1,
        "score": 0.1,
        "kept": True,
        "tags": ["a", "b"],
    },
    {
        "messages": [{"role": "user", "content": None}],
        "text": "",
        "label": -3,
        "score": None,
        "kept": None,
        "tags": [],
    },
    {
        "messages": [],
        "text": None,
        "label": 2**40,
        "score": -2.5,
        "kept": False,
        "tags": None,
    },
]

# Of each column what is needed to tell its parts, in groups of two rows.
table = pa.Table.from_pylist(ROWS)
for name, compression in [("snappy", "snappy"), ("zstd", "zstd"), ("gzip", "gzip"), ("plain", "none")]:
    pq.write_table(table, OUT / f"{name}.parquet", compression=compression, row_group_size=2)
(OUT / "parquet.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
