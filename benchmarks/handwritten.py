"""The script people write instead: a folder of listings into a searchable table, nothing checked, nothing kept apart.

Usage: python benchmarks/handwritten.py CATALOG MODEL LIMIT DSN   (prints seconds by part as JSON)
"""

# ruff: noqa: E402, B905
import json
import sys
import time

started = time.perf_counter()
import pandas as pd
import psycopg
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from PIL import Image
from sentence_transformers import SentenceTransformer

catalog, model_name, limit, dsn = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
model = SentenceTransformer(model_name, device="cpu")
marks = {"import_and_model": time.perf_counter() - started}
styles = pd.read_csv(f"{catalog}/styles.csv", on_bad_lines="skip").sort_values("id")
rows, images = [], []
for row in styles.itertuples(index=False):
    try:
        images.append(Image.open(f"{catalog}/images/{row.id}.jpg").convert("RGB"))
        rows.append(row)
    except OSError:
        continue
    if len(rows) == limit:
        break
marks["decode"] = time.perf_counter() - started
vectors = model.encode(images, normalize_embeddings=True)
marks["embed"] = time.perf_counter() - started
with psycopg.connect(dsn, autocommit=True) as conn:
    conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
    register_vector(conn)
    conn.execute("DROP TABLE IF EXISTS handwritten")
    conn.execute(
        "CREATE TABLE handwritten (id int, gender text, category text, type text, colour text, title text, "
        "embedding halfvec(512))"
    )
    with conn.cursor().copy("COPY handwritten FROM STDIN WITH (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "text", "text", "text", "text", "text", "halfvec"])
        for row, vector in zip(rows, vectors):
            text = [
                None if pd.isna(value) else str(value)
                for value in (
                    row.gender,
                    row.masterCategory,
                    row.articleType,
                    row.baseColour,
                    row.productDisplayName,
                )
            ]
            copy.write_row([int(row.id), *text, HalfVector(vector)])
    marks["copy"] = time.perf_counter() - started
    conn.execute("CREATE INDEX ON handwritten USING hnsw (embedding halfvec_cosine_ops)")
marks["index"] = marks["total"] = time.perf_counter() - started
print(json.dumps({"rows": len(rows), **{name: round(value, 2) for name, value in marks.items()}}))
