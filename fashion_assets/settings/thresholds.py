"""What a batch or a release is held against: the settings that decide a criterion.

What belongs here: each threshold a person may sensibly change, with its limits, and in its description where the number
comes from. What does not: the other settings (`settings`), judging by them (`criteria`), limits that follow from how
numbers are kept and that nobody should change (beside what they judge).
"""

from pydantic import Field

from fashion_assets.settings.part import Part


class Sureness(Part):
    """Criteria: how sure."""

    criteria_confidence: float = Field(
        default=0.999,
        ge=0.5,
        lt=1,
        description="Criteria that ask a sample refuse a release only where its figure misses the threshold beyond chance. "
        "At 0.999 each of them refuses a release that in truth meets its threshold at most once in 1,000 releases.",
    )
    criteria_sample: int = Field(
        default=100,
        ge=3,
        le=10_000,
        description="Products each kind of search is asked for, all where a release has no more. With 100, and 0.999 sure, "
        "64 found are the most that is refused where 80 % are wanted; a search takes 2 to 10 ms.",
    )
    criteria_pictures: int = Field(
        default=50,
        ge=3,
        le=10_000,
        description="Products whose pictures are decoded and searched by, of those asked for. Each is encoded anew, 5 ms "
        "with the shipped model on a CPU and half a second with a ViT-L/14: fewer tell less and take less.",
    )
    benchmark_seconds: float = Field(
        default=4,
        ge=0,
        le=600,
        description="Seconds, about, in which a release measures its own search before it may go live: recall under every filter, "
        "and from `min_products_for_times` products on the promised loads and the old layout beside the new. 0: one question under each "
        "filter and no more. fashion-assets bench measures at length.",
    )
    max_used_by_others: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Criterion B6: share of the machine's cores that other things may use while a release measures its loads; on a "
        "busier machine a load that is missed says nothing of the release, and refuses nothing.",
    )


class Batches(Part):
    """Criteria: batches."""

    max_rejection_rate: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="A batch in which a larger share of listings is rejected stops at its blocking check: so many "
        "bad listings at once are a fault of the source or the reader, not of single listings.",
    )
    min_listings_for_a_rate: int = Field(
        default=20,
        ge=1,
        description="Listings below which a batch's rejection rate is not judged: one bad listing of ten is 10 %.",
    )


class Rows(Part):
    """Criteria: rows of a release."""

    max_shrink: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Criterion A11: a release that lacks more than this share of a source's products, listings, favourites "
        "or users in the live one waits for a person: an export that was cut off looks like this.",
    )
    min_brand_share: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="Criterion A9: share of products with a brand, where the source states brands.",
    )
    max_price_shift: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Criterion A9: largest Kolmogorov-Smirnov distance between the products' prices and the listings'.",
    )
    min_known_share: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="Expectation: share of a column's values that its vocabulary knows. The others are kept as they are; "
        "nothing is refused for them.",
    )


class Finding(Part):
    """Criteria: what searches find."""

    min_found_share: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Criterion A7, which names no number: share of products that are found by their vector, title or "
        "picture. Over samples of 300 of the demo catalogue all were found by vectors and pictures and 98 % by titles.",
    )
    min_article_type_precision: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Criterion A7, which names no number: share of the ten products nearest to a title that are of its "
        "product's article type. The shipped model reaches 0.84 on the demo catalogue and 0.45 on drawn pictures, which "
        "it was not trained on; vectors that have nothing to do with their products reach the type's share of the "
        "catalogue, below 0.2.",
    )
    min_recall: float = Field(
        default=0.99,
        ge=0,
        le=1,
        description="Criterion G3: recall@10 against exact search, under filters of every selectivity.",
    )


class Answering(Part):
    """Criteria: how soon searches answer."""

    max_listing_p95_ms: float = Field(
        default=200,
        gt=0,
        description="Criterion A8: milliseconds in which 95 % of the pages of products under a filter come, for one caller.",
    )
    max_vector_search_p95_ms: float = Field(
        default=500, gt=0, description="Criterion A8: the same of searches by a vector."
    )
    max_picture_search_p95_ms: float = Field(
        default=2_000, gt=0, description="Criterion A8: the same of searches by an uploaded picture."
    )
    vector_load_qps: float = Field(
        default=500, gt=0, description="Criterion B6: vector searches a second that must be borne."
    )
    vector_load_p95_ms: float = Field(
        default=50, gt=0, description="Criterion B6: milliseconds in which 95 % of them are answered."
    )
    hybrid_load_qps: float = Field(
        default=200, gt=0, description="Criterion B6: hybrid searches a second that must be borne."
    )
    hybrid_load_p95_ms: float = Field(
        default=100, gt=0, description="Criterion B6: milliseconds in which 95 % of them are answered."
    )
    load_products: int = Field(
        default=10_000,
        ge=1,
        description="Criterion B6: size of the catalogue the loads are promised for. A larger one that does not bear them "
        "is told, and not refused.",
    )
    max_slowdown: float = Field(
        default=1.1,
        gt=0,
        description="Criterion A10: how many times the old layout's median time the new one's may be. A tenth is the noise "
        "of two medians of one sitting.",
    )
    min_products_for_times: int = Field(
        default=5_000,
        ge=0,
        description="Products below which stored times are not judged: a small catalogue is answered within a millisecond "
        "or two from memory by any layout, and what is measured is the round trip.",
    )


class Indexes(Part):
    """Criteria: what indexes take."""

    max_index_mb_per_10k: float = Field(
        default=100, gt=0, description="Criterion B6: megabytes of vector index for 10,000 vectors."
    )
    min_vectors_for_size: int = Field(
        default=20,
        ge=1,
        description="Vectors below which an index's size is not judged: it is that of its first pages.",
    )


class Thresholds(Sureness, Batches, Rows, Finding, Answering, Indexes):
    """The part of `Settings` that criteria are judged by; set like the rest, by `FASHION_ASSETS_<FIELD>`."""
