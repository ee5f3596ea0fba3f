"""What a source is held to: which attributes its products cannot be without, whether they need a picture, which of its words
state nothing, how it writes numbers.

What belongs here: the profile as data, and its version. What does not: judging by it (`catalog.validation`), finding out how
values are written (`sources`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from fashion_assets.catalog.attributes import CRITICAL

Pictures = Literal["required", "optional"]


@dataclass(frozen=True)
class Profile:
    """How one source's listings are judged. The default is a shop's own catalogue: every critical attribute, and a picture."""

    critical: tuple[str, ...] = CRITICAL
    """Attributes a product cannot be without, besides its id."""
    picture: Pictures = "required"
    """`required`: a listing without a sound picture is rejected. `optional`: one that states no picture, or whose picture cannot be
    had, becomes a product without one; a picture that is there and is damaged is still a reason."""
    null_words: tuple[str, ...] = ()
    """Words (lower case) that state nothing in this source, beside those that state nothing anywhere."""
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values that mean "unknown" in this source, by attribute, as the source writes them."""
    free_items: bool = False
    """Whether a price of zero is a price."""

    @property
    def version(self) -> str:
        """Another one for another profile; part of the versions of its source's batches."""
        said = json.dumps(asdict(self), sort_keys=True)
        return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()
