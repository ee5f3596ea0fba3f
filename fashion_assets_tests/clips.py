"""Small models for tests: real CLIPs in shape, of random weights, whose spaces differ from each other and from the
shipped model's."""

import json
import shutil
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel

from fashion_assets.embedding.spaces import SHIPPED_MODEL


def random_clip(folder: Path, *, dimension: int = 48, seed: int = 0) -> Path:
    """A CLIP with the shipped model's tokenizer and weights drawn by the seed; it says nothing of its training."""
    shutil.copytree(SHIPPED_MODEL, folder, ignore=shutil.ignore_patterns("metrics.json", "README.md"))
    vocabulary = len(json.loads((SHIPPED_MODEL / "tokenizer.json").read_text("utf-8"))["model"]["vocab"])
    shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    configuration = CLIPConfig(
        text_config={
            **shape,
            "vocab_size": vocabulary,
            "max_position_embeddings": 32,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 2,
        },
        vision_config={**shape, "image_size": 32, "patch_size": 8},
        projection_dim=dimension,
    )
    torch.manual_seed(seed)
    CLIPModel(configuration).eval().save_pretrained(folder)
    size = {"height": 32, "width": 32}
    path = folder / "preprocessor_config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"size": size, "crop_size": size, "do_center_crop": False})
    )
    path = folder / "processor_config.json"
    processor = json.loads(path.read_text())
    processor["image_processor"] |= {"size": size, "crop_size": size, "do_center_crop": False}
    path.write_text(json.dumps(processor))
    return folder
