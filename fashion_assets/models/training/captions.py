"""Words for a picture: titles, and what a person might type, drawn anew at every step; and the tokenizer for them.

What belongs here: wording, and how words become tokens. What does not: what captions teach (`objective`).
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import CLIPTokenizer

from fashion_assets.catalog.attributes import LABELS, LEVELS
from fashion_assets.models.training.configuration import TrainingConfig
from fashion_assets.models.training.labels import ATTRIBUTES, Labels

_START, _END, _PAD = "<|startoftext|>", "<|endoftext|>", "<|pad|>"


# Other words for a value, so that a person's wording is met, not only the catalogue's.
_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "men": ("man", "mens", "men's", "male"),
    "women": ("woman", "womens", "women's", "ladies", "female"),
    "boys": ("boy", "boy's", "kids"),
    "girls": ("girl", "girl's", "kids"),
    "tshirts": ("t-shirts", "t shirts", "tees"),
    "sports shoes": ("running shoes", "trainers", "sneakers"),
    "casual shoes": ("shoes", "sneakers"),
    "formal shoes": ("dress shoes", "office shoes"),
    "flip flops": ("slippers", "flip-flops"),
    "heels": ("high heels", "pumps"),
    "flats": ("flat shoes", "ballerinas"),
    "handbags": ("bags", "purses"),
    "backpacks": ("rucksacks", "bags"),
    "trousers": ("pants", "chinos"),
    "track pants": ("joggers", "tracksuit bottoms"),
    "sweaters": ("jumpers", "pullovers", "knitwear"),
    "sweatshirts": ("hoodies",),
    "jeans": ("denim", "denims"),
    "dresses": ("gowns", "frocks"),
    "sunglasses": ("shades",),
    "caps": ("hats",),
    "necklace and chains": ("necklaces", "chains"),
    "perfume and body mist": ("perfumes", "fragrances"),
    "innerwear vests": ("vests", "undershirts"),
    "grey": ("gray",),
    "navy blue": ("navy", "dark blue"),
    "multi": ("multicoloured", "colourful"),
    "off white": ("ivory", "off-white"),
    "maroon": ("dark red",),
    "sports": ("sport", "sporty"),
    "fall": ("autumn",),
}


def train_tokenizer(texts: Sequence[str], config: TrainingConfig) -> CLIPTokenizer:
    """CLIP's byte-pair tokenizer with a vocabulary of its own: lower-cased, byte level, `</w>` ends a word.

    It has all 256 bytes, inside and at the end of a word, so no text has an unknown token.
    """
    builder = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    # The pipeline of transformers' CLIPTokenizer, which tokenizes with the merges learnt here.
    builder.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    builder.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary_size,
        min_frequency=2,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    builder.train_from_iterator(texts, trainer)
    learnt = [tuple(merge) for merge in json.loads(builder.to_str())["model"]["merges"]]
    entries = [_START, _END, _PAD, *alphabet, *(byte + "</w>" for byte in alphabet)]
    known = set(entries)
    merges: list[tuple[str, str]] = []
    for left, right in learnt:
        if len(entries) >= config.vocabulary_size:
            break
        merges.append((left, right))
        if left + right not in known:
            known.add(left + right)
            entries.append(left + right)
    return CLIPTokenizer(
        vocab={entry: number for number, entry in enumerate(entries)},
        merges=merges,  # pyright: ignore[reportArgumentType] - pairs are what it hands to the tokenizer
        bos_token=_START,
        eos_token=_END,
        unk_token=_END,
        pad_token=_PAD,
        model_max_length=config.max_tokens,
    )


def vocabulary_texts(pairs: pd.DataFrame, labels: Labels, rows: np.ndarray) -> list[str]:
    random = np.random.default_rng(0)
    worded = [attribute_caption(labels.words[row], random)[0] for row in rows if labels.words[row]]
    return [*pairs["title"], *worded]


def captions_of(
    batch: np.ndarray,
    titles: list[str],
    labels: Labels,
    config: TrainingConfig,
    random: np.random.Generator,
) -> tuple[list[str], Tensor, Tensor]:
    """A caption for each product; which attributes it tells [n, attributes]; whether it is a title [n]."""
    captions: list[str] = []
    told = torch.zeros(len(batch), len(ATTRIBUTES), dtype=torch.bool)
    by_title = torch.zeros(len(batch), dtype=torch.bool)
    for place, row in enumerate(batch.tolist()):
        draw = random.random()
        words = labels.words[row]
        if draw < config.title_share + config.shortened_title_share or not words:
            shortened = draw >= config.title_share
            captions.append(_shortened(titles[row], random) if shortened else titles[row])
            # A whole title is taken to tell everything; what it does not say is learnt as what is likely.
            told[place] = not shortened
            by_title[place] = True
        else:
            caption, named = attribute_caption(words, random)
            captions.append(caption)
            for name in named:
                told[place, ATTRIBUTES.index(name)] = True
    return captions, told, by_title


def attribute_caption(values: Mapping[str, str], random: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """Words a person might search with, made from a product's attributes: "red tshirts for women".

    Args:
        values: the product's non-null attributes, lower-case; needs at least one.
        random: what decides which attributes are named, in which words and in which order.

    Returns:
        The caption and the names of the attributes it tells.
    """
    named = [name for name in values if random.random() < LABELS[name].told]
    if not any(name in named for name in LEVELS):
        # A colour alone is a poor query; the kind of thing is said wherever it is known.
        kind = next((k for k in LEVELS if k in values), None)
        if kind is not None:
            named.append(kind)
    if not named:
        named = [next(iter(values))]
    random.shuffle(named)
    before: list[str] = []
    after: list[str] = []
    for name in named:
        # A name has no other words.
        words = values[name] if name == "brand" else _reworded(values[name], random)
        if (name == "gender" and random.random() < 0.5) or (name == "season" and random.random() < 0.5):
            after.append(f"for {words}")
        else:
            before.append(words)
    if "article_type" in named and random.random() < 0.6:
        # English order: the thing itself comes after what is said of it.
        thing = next((w for w in before if _is_wording(w, values["article_type"])), None)
        if thing is not None:
            before.remove(thing)
            before.append(thing)
    if "brand" in named and random.random() < 0.7:
        before.remove(values["brand"])
        before.insert(0, values["brand"])
    caption = " ".join(before + after)
    if random.random() < 0.08:
        caption = f"a photo of {caption}"
    return caption, tuple(named)


def _reworded(value: str, random: np.random.Generator) -> str:
    wordings = _wordings(value)
    return wordings[0] if random.random() < 0.6 else wordings[int(random.integers(len(wordings)))]


def _is_wording(words: str, value: str) -> bool:
    return words in _wordings(value)


def _wordings(value: str) -> list[str]:
    plurals = [value, *_SYNONYMS.get(value, ())]
    return list(dict.fromkeys([*plurals, *(_singular(words) for words in plurals)]))


def _singular(words: str) -> str:
    if words.endswith(("ches", "shes", "sses", "xes")):
        return words[:-2]
    if words.endswith("ies"):
        return f"{words[:-3]}y"
    if words.endswith("s") and not words.endswith(("ss", "'s")):
        return words[:-1]
    return words


def _shortened(title: str, random: np.random.Generator) -> str:
    words = title.split()
    kept = [word for word in words if random.random() > 0.3]
    return " ".join(kept or words[-1:])
