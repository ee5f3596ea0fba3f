"""What a training run is made of.

What belongs here: its settings and the error that says it cannot begin. What does not: the run (`loop`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fashion_assets.errors import FashionAssetsError


class TrainingError(FashionAssetsError):
    """Training cannot begin; the message says what is missing and what to do."""


@dataclass(frozen=True)
class TrainingConfig:
    """What a training run is made of.

    Two runs with equal configurations and pairs agree on one machine, unless `wall_clock_seconds` is set:
    then the number of steps depends on its speed.
    """

    image_height: int = 128
    """Height of the picture the model sees, in pixels; other shapes are squashed to it."""
    image_width: int = 96
    """Width of the picture the model sees, in pixels: catalogue pictures are three by four."""
    text_hidden_size: int = 256
    """Width of the text tower."""
    text_layers: int = 1
    """Transformer layers of the text tower: three or six told no more in training and cost as many times more."""
    text_heads: int = 4
    """Attention heads of the text tower; divides `text_hidden_size`."""
    text_intermediate_size: int = 512
    """Width of the text tower's feed-forward layers."""
    max_tokens: int = 32
    """Longest text in tokens, start and end included; what is longer is cut."""
    vocabulary_size: int = 4000
    """Most entries of the byte-pair vocabulary; 515 of them are the bytes and the special tokens."""
    projection_size: int = 512
    """Dimension of the common space of pictures and words."""
    epochs: int = 16
    """Passes over the training pairs, unless the wall clock ends the run earlier; 0: only what ends a training."""
    batch_size: int = 256
    """Pairs of one step; the contrast is within the batch."""
    learning_rate: float = 1.5e-3
    """Peak rate of AdamW: embeddings, projections, prototypes, norms and biases."""
    image_learning_rate: float = 5e-4
    """Peak rate of AdamW in the image tower."""
    matrix_learning_rate: float = 0.02
    """Peak rate of Muon: the weight matrices inside the text tower's layers."""
    weight_decay: float = 0.05
    """Decoupled decay, in AdamW and Muon alike; none on norms, biases and the temperature."""
    warmup: float = 0.05
    """Share of the run over which the rates rise from zero."""
    ema_decay: float = 0.99
    """Decay per step of the running mean of the weights, which is what is measured and exported."""
    prototype_weight: float = 1.0
    """Weight of the prototype loss beside the contrastive loss."""
    alike_share: float = 0.5
    """Share of steps whose batch is of one kind of product or a few: telling those apart is what titles ask for."""
    feature_dropout: float = 0.1
    """Share of the image tower's features left out at a step."""
    title_share: float = 0.55
    """Share of captions that are the full title."""
    shortened_title_share: float = 0.2
    """Share of captions that are the title with words dropped; the rest are worded from attributes."""
    refined_passes: int = 6
    """Passes over the captions at the end, in which words alone learn (`refinement`); 0 leaves that out."""
    refined_among: int = 8192
    """Pictures a title is told from there."""
    refined_contrast: float = 1.0
    """Weight of that contrast."""
    refined_distance: float = 10.0
    """Weight, beside it, of the cosine distance to the vector a caption had."""
    arranged_passes: int = 8
    """Passes over the pictures after that, in which the image tower's projection alone learns (`arrangement`); 0 leaves
    that out."""
    arranged_temperature: float = 0.1
    """What cosines of neighbours are divided by there."""
    arranged_titles: float = 0.5
    """Weight, beside the neighbours, of the contrast with titles."""
    arranged_words: float = 0.2
    """Weight, beside them, of the contrast of attributes' words with pictures."""
    arranged_distance: float = 1.0
    """Weight, beside them, of the cosine distance to the vector a picture had."""
    held_out_share: float = 0.05
    """Share of products kept out of the training, by a hash of their ids."""
    seed: int = 0
    """Seed of weights, order, captions and augmentation."""
    threads: int = 2
    """Threads for decoding and for torch."""
    device: str = "cpu"
    """torch device the training runs on."""
    wall_clock_seconds: float | None = None
    """Budget of training time, all resumed runs together; the learning-rate schedule then ends within it even
    if fewer than `epochs` passes are done. Refining words, arranging pictures and measuring come after it."""


GENTLER: Mapping[str, float] = {
    "learning_rate": 8e-4,
    "image_learning_rate": 3e-4,
    "matrix_learning_rate": 0.01,
    "alike_share": 0.7,
}
"""What of `TrainingConfig` is other for a training that starts at a trained model: rates are about half, so that it is not
first unlearnt, and more steps tell like products apart, which it has yet to learn."""
