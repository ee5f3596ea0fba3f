"""How often pictures tell an attribute rightly: listings kept out of the model's training state what their pictures are asked.

    python benchmarks/seeing.py DIR [--steps]

DIR is a folder with `styles.csv` and `images/`. Half of the products the shipped model never saw find the steps of
`fashion_assets/embedding/seeing.toml` (`--steps` prints them), the other half is what the table is of.
"""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from fashion_assets.catalog.normalization import canonical
from fashion_assets.catalog.ontology.vocabulary import ontology
from fashion_assets.catalog.rules import Rules
from fashion_assets.embedding import seeing
from fashion_assets.embedding.encoder import Encoder
from fashion_assets.embedding.spaces import SHIPPED_MODEL, embedding_space
from fashion_assets.models.holdout import held_out_mask, training_record
from fashion_assets.models.training.pairs import training_pairs
from fashion_assets.settings import Settings

BINS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
MARGIN = 0.015
"""By how much the half that finds a step must be above what is told."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", action="store_true", help="print the steps for seeing.toml")
    given = parser.parse_args()
    space = embedding_space(None)
    record = training_record(SHIPPED_MODEL)
    assert record is not None
    pairs = training_pairs_of(given.folder)
    digests = [hashlib.sha1(Path(path).read_bytes()).digest() for path in pairs["image_path"]]
    pairs = pairs[held_out_mask(list(pairs["external_id"]), digests, record.share)].reset_index(drop=True)
    encoder = Encoder(space)
    files = list(pairs["image_path"])
    vectors = encoder.files(files, [hashlib.sha256(Path(f).read_bytes()).hexdigest() for f in files]).vectors
    second = np.array([crc32(each.encode()) % 2 == 1 for each in pairs["external_id"]])
    asked = seeing.questions(space.name)
    print(f"{space.name}: {len(pairs):,} products it was not trained on, {int(second.sum()):,} of them asked")
    print("| attribute | stated | told | right |\n|---|---|---|---|")
    for name, question in asked.items():
        kinds = [canonical("article_type", value)[0] for value in pairs["article_type"]]
        found = seeing.nearest(question, vectors, kinds, encoder.texts)
        stated = [canonical(name, value)[0] if isinstance(value, str) else None for value in pairs[name]]
        right = np.array(
            [
                each is not None and _right(name, said, each[0])
                for said, each in zip(stated, found, strict=True)
            ]
        )
        shares = np.array([0.0 if each is None else each[1] for each in found])
        known = np.array([said is not None for said in stated])
        if given.steps:
            print(name, "steps =", steps(shares[known & ~second], right[known & ~second]))
        judged = known & second
        told = judged & np.array([question.sure(share) is not None for share in shares])
        precision = f"{right[told].mean():.3f}" if told.any() else "none"
        print(f"| {name} | {judged.sum():,} | {told.sum() / judged.sum():.3f} | {precision} |")


def training_pairs_of(folder: Path):
    """The catalogue's products in canonical values, as a training reads them."""
    from fashion_assets.sources import open_source

    settings = Settings(home=folder / ".seeing")
    source = open_source("folder", "fashion_demo", str(folder), settings, {})
    return training_pairs([source], Rules.from_settings(settings))


def _right(name: str, stated: str | None, told: str) -> bool:
    if name != "colour" or stated is None:
        return stated == told
    lines = [{each, *ontology().line("colour", each)} for each in (stated, told)]
    return told in lines[0] or stated in lines[1]


def steps(shares: np.ndarray, right: np.ndarray) -> list[list[float]]:
    """From which share on so many are right: the lowest from which all above are, and each within its bin too."""
    found: list[list[float]] = []
    edges: Sequence[float] = (*BINS, 1.01)
    for least, below in zip(BINS, edges[1:], strict=True):
        within = (shares >= least) & (shares < below)
        above = shares >= least
        if (
            within.sum() < 20
            or right[above].mean() < seeing.LEAST + MARGIN
            or right[within].mean() < seeing.LEAST - 0.03
        ):
            continue
        sure = min(float(right[within].mean()), 0.97)
        found.append([least, round(max(sure, seeing.LEAST), 3)])
    return found


if __name__ == "__main__":
    main()
