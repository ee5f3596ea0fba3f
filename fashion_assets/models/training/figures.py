"""How well a model in training finds the pictures of products it never saw.

What belongs here: a model's vectors in torch, and its figures during and after a training. What does not: measuring
any model by the published protocol (`models.evaluation`).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTokenizer

from fashion_assets.catalog.attributes import JUDGED
from fashion_assets.embedding.fashion_clip import FashionClip
from fashion_assets.embedding.retrieval import nearest, precision, relevance
from fashion_assets.machine import usable_cores
from fashion_assets.models.training.labels import ATTRIBUTES, Labels, labels_of
from fashion_assets.models.training.pictures import normalise_pixels

PART = 32
"""Pictures or captions that one thread takes through its tower at a time on a CPU; small enough for its cache."""


@contextmanager
def one_core_each() -> Iterator[None]:
    """torch computes on the calling thread alone; there are threads enough. It is the whole process' setting."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def embed_pictures(model: FashionClip, pixels: np.ndarray) -> Tensor:
    """Unit vectors [n, projection] on the CPU of uint8 pictures [n, height, width, 3]."""
    return _of_pictures(model, pixels, lambda features: projected(model, features))


def picture_features(model: FashionClip, pixels: np.ndarray) -> Tensor:
    """What the image tower makes of the same before its projection: [n, 1280], on the CPU."""
    return _of_pictures(model, pixels, lambda features: features)


def projected(model: FashionClip, features: Tensor) -> Tensor:
    """Unit vectors [n, projection], where the model is, of such features."""
    with torch.no_grad():
        return functional.normalize(model.visual_projection(features.to(model.device)), dim=-1)


def _of_pictures(model: FashionClip, pixels: np.ndarray, made_of: Callable[[Tensor], Tensor]) -> Tensor:
    on_cpu = model.device.type == "cpu"
    size = PART if on_cpu else 256

    def embed(start: int) -> Tensor:
        with torch.inference_mode():
            batch = torch.from_numpy(np.array(pixels[start : start + size])).to(model.device)
            pictures = normalise_pixels(batch).contiguous(memory_format=torch.channels_last)
            return made_of(model.vision_model(pictures)).cpu()

    with one_core_each(), ThreadPoolExecutor(usable_cores() if on_cpu else 1) as threads:
        parts = list(threads.map(embed, range(0, len(pixels), size)))
    return torch.cat(parts)


def embed_texts(
    model: FashionClip,
    tokenizer: CLIPTokenizer,
    texts: Sequence[str],
    max_tokens: int,
    batch_size: int = 256,
) -> Tensor:
    """Unit vectors [n, projection] on the CPU of n texts, in the order given."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(texts), batch_size):
            chunk = list(texts[start : start + batch_size])
            features = text_features(model, token_ids(tokenizer, chunk, max_tokens))
            parts.append(functional.normalize(features, dim=-1).cpu())
    return torch.cat(parts) if parts else torch.empty(0, model.dimension)


def token_ids(tokenizer: CLIPTokenizer, texts: list[str], max_tokens: int) -> list[list[int]]:
    return tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"]  # pyright: ignore


def text_vectors(model: FashionClip, ids: list[list[int]], bfloat16: bool) -> Tensor:
    """Unit vectors [n, projection], float32, to learn by."""
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bfloat16):
        features = text_features(model, ids)
    return functional.normalize(features.float(), dim=-1)


def text_features(model: FashionClip, ids: list[list[int]]) -> Tensor:
    """[n, projection], not of unit length."""
    pad, length = cast(int, model.text_config.pad_token_id), max(len(tokens) for tokens in ids)
    padded = [tokens + [pad] * (length - len(tokens)) for tokens in ids]
    return model.text_features(torch.tensor(padded, device=model.device))


def evaluate(
    model: FashionClip,
    tokenizer: CLIPTokenizer,
    pairs: pd.DataFrame,
    pixels: np.ndarray,
    held_out: np.ndarray,
    *,
    max_tokens: int = 32,
    seen_too: bool = True,
) -> dict[str, Any]:
    """How well words find pictures, by exact cosine, on products the model was not trained on.

    Three kinds of queries: the titles of the held-out products, attribute words ("red tshirts for women")
    for every combination of colour, article type and gender that occurs among them and at least ten times
    among the documents, and the held-out pictures themselves, whose neighbours are looked at. Two sets of
    documents: all pictures, and the held-out ones alone.

    `*_precision_at_10` is the share of the ten nearest pictures whose attribute is the query's, over the
    queries whose attribute is known. Of a type with fewer than ten pictures ten cannot be found; it is not
    corrected for. `recall_at_1`, `recall_at_10` and `mrr` (mean reciprocal rank) ask for the query's own
    picture, ties at their mean rank; other products with the same title count as misses.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        pairs: n products, columns as for `train`.
        pixels: their pictures, uint8 [n, size, size, 3].
        held_out: boolean [n].
        max_tokens: longest text in tokens.
        seen_too: false leaves out the set of all pictures, which takes a pass over them.

    Returns:
        Plain numbers, by set of documents and kind of query.
    """
    labels = labels_of(pairs)
    queries = np.flatnonzero(held_out)
    texts = pairs["title"].astype(str).to_numpy()[queries]
    vectors = embed_texts(model, tokenizer, list(texts), max_tokens)
    trained_titles = set(labels.titles[~held_out].tolist())
    unseen = np.array([title not in trained_titles for title in labels.titles[queries]], dtype=bool)
    result: dict[str, Any] = {}
    sets = {"held_out_pictures": queries}
    if seen_too:
        sets["all_pictures"] = np.arange(len(pairs))
    for name, documents in sets.items():
        document_vectors = embed_pictures(model, pixels[documents])
        own = np.searchsorted(documents, queries)
        titles = _title_figures(
            vectors, document_vectors, own, labels.codes[queries], labels.codes[documents]
        )
        figures: dict[str, Any] = {"documents": len(documents), "titles": _means(titles, slice(None))}
        # A title that another, trained product bears as well is an easier query: the rest are told apart.
        figures["titles_not_in_training"] = _means(titles, unseen)
        figures["attribute_words"] = _attribute_figures(
            model, tokenizer, labels, queries, documents, document_vectors, max_tokens
        )
        figures["pictures"] = _neighbour_figures(document_vectors, own, labels.codes[documents])
        result[name] = figures
    return result


def _title_figures(
    queries: Tensor, documents: Tensor, own: np.ndarray, query_codes: np.ndarray, document_codes: np.ndarray
) -> dict[str, np.ndarray]:
    """Per query: the figures of `evaluate`; NaN where the query's attribute is null."""
    columns = {name: ATTRIBUTES.index(name) for name in JUDGED}
    figures: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(queries), 512):
        rows = slice(start, start + 512)
        scores = queries[rows] @ documents.T
        top = scores.topk(min(10, scores.shape[1])).indices.numpy()
        for name, column in columns.items():
            wanted = query_codes[rows, column]
            hits = (document_codes[top, column] == wanted[:, None]).sum(1) / 10
            figures.setdefault(f"{name}_precision_at_10", []).append(np.where(wanted >= 0, hits, np.nan))
        own_scores = scores.gather(1, torch.from_numpy(own[rows]).view(-1, 1))
        above, equal = (scores > own_scores).sum(1), (scores == own_scores).sum(1)
        rank = above.numpy() + (equal.numpy() - 1) / 2 + 1
        figures.setdefault("recall_at_1", []).append((rank <= 1).astype(float))
        figures.setdefault("recall_at_10", []).append((rank <= 10).astype(float))
        figures.setdefault("mrr", []).append(1 / rank)
    return {name: np.concatenate(parts) for name, parts in figures.items()}


def _neighbour_figures(documents: Tensor, asked: np.ndarray, codes: np.ndarray) -> dict[str, Any]:
    """precision@10 of the neighbours of the documents at the places `asked`, int [q], over those whose attribute is known."""
    figures: dict[str, Any] = {"queries": len(asked)}
    found = nearest(documents[asked].numpy(), documents.numpy(), but=asked)
    for name in JUDGED:
        values = codes[:, ATTRIBUTES.index(name)]
        known = values[asked] >= 0
        hits = precision(relevance(found, values[asked], values))[known]
        figures[f"{name}_precision_at_10"] = round(float(hits.mean()), 4) if len(hits) else None
    return figures


def _means(figures: dict[str, np.ndarray], chosen: np.ndarray | slice) -> dict[str, Any]:
    picked = {name: values[chosen] for name, values in figures.items()}
    means: dict[str, Any] = {"queries": max((len(values) for values in picked.values()), default=0)}
    for name, values in picked.items():
        known = values[~np.isnan(values)]
        means[name] = round(float(known.mean()), 4) if len(known) else None
    return means


def _attribute_figures(
    model: FashionClip,
    tokenizer: CLIPTokenizer,
    labels: Labels,
    queries: np.ndarray,
    documents: np.ndarray,
    document_vectors: Tensor,
    max_tokens: int,
) -> dict[str, Any]:
    columns = [ATTRIBUTES.index(name) for name in JUDGED]
    document_codes = labels.codes[documents][:, columns]
    combinations, counts = np.unique(document_codes, axis=0, return_counts=True)
    frequent = {tuple(row) for row, count in zip(combinations.tolist(), counts, strict=True) if count >= 10}
    asked = {tuple(row) for row in labels.codes[queries][:, columns].tolist()}
    wanted = np.array(sorted(c for c in asked & frequent if min(c) >= 0), dtype=np.int64).reshape(
        -1, len(JUDGED)
    )
    figures: dict[str, Any] = {"queries": len(wanted)}
    if not len(wanted):
        return figures
    texts = []
    for row in wanted:
        said = {name: labels.values[name][code] for name, code in zip(JUDGED, row, strict=True)}
        gender = said.pop("gender")
        # As it is said in English: the thing itself, which weighs most, comes last.
        texts.append(f"{' '.join(reversed(said.values()))} for {gender}")
    scores = embed_texts(model, tokenizer, texts, max_tokens) @ document_vectors.T
    hits = document_codes[scores.topk(10).indices.numpy()] == wanted[:, None, :]
    figures["all_three_precision_at_10"] = round(float(hits.all(-1).mean()), 4)
    for place, name in enumerate(JUDGED):
        figures[f"{name}_precision_at_10"] = round(float(hits[:, :, place].mean()), 4)
    return figures
