"""What the tasks ask beside the published evaluation, and others' published figures.

What belongs here: words and numbers to compare with. What does not: measuring.

The protocol of the words' tasks is that of KAGL in marqo-FashionCLIP (github.com/marqo-ai/marqo-FashionCLIP: eval.py,
configs/KAGL.json, utils/metrics.py, data/KAGL/gt_query_doc); `PROTOCOL` says what is the same and what is not.
"""

from collections.abc import Mapping

PROTOCOL = {
    "caption to picture": (
        "As KAGL's text-to-image task: each distinct caption is one query, every listing that bears exactly it is "
        "relevant, documents are all pictures, the search is exact, recall@k is the share of all that is relevant found "
        "in the first k (trec_eval's recall_k, so recall@1 of a caption two pictures bear is 0.5 at the most), MRR is cut "
        "at 10. Different: captions are those of the products asked with, not drawn from all; the draw is by a hash of "
        "seed and caption, where KAGL's 2,000 stand in a file whose seed is not told; the listings are this folder's "
        "sound ones, where KAGL has the whole catalogue; titles and values are as this catalogue normalizes them."
    ),
    "category to product": (
        "As KAGL's category tasks: each value is one query as a bare word, a product is 0.9 picture and 0.1 title, "
        "P@k is trec_eval's. Different as above. All products are documents, those a model was trained on too; the rows "
        "of products asked with only have no others."
    ),
    "disturbed picture": (
        "Not in KAGL: a picture cropped (to 80 % of its edges, anywhere), mirrored, blurred (Gaussian, 2 % of the longer "
        "edge) or made 1.4 times as bright finds its original among all distinct pictures."
    ),
    "neighbours": (
        "Not in KAGL: pictures only, the ten nearest other pictures by cosine (leave-one-out), and the share of them "
        "with the picture's own article type, colour, gender; once more among 2,000 drawn pictures, where the same ten are "
        "a larger part of what there is."
    ),
}
"""What each group of tasks asks, and how it compares with the published evaluation."""

PUBLISHED_PROTOCOL = (
    "zero-shot, as published in marqo-FashionCLIP's LEADERBOARD.md (KAGL, 2024-08-09): 2,000 captions of the whole "
    "catalogue, documents all its pictures. A model trained on a part of the catalogue "
    "is no zero-shot model: the figures stand beside each other, not in one contest."
)

PUBLISHED: Mapping[str, Mapping[tuple[str, str], float]] = {
    name: {
        ("caption to picture", "recall@1"): caption[0],
        ("caption to picture", "recall@10"): caption[1],
        ("caption to picture", "MRR"): caption[2],
        **{
            (f"{column} to product", measure): value
            for column, pair in zip(("category", "sub-category", "article type", "colour"), words, strict=True)
            for measure, value in zip(("precision@1", "precision@10"), pair, strict=True)
        },
    }
    for name, caption, words in (
        ("FashionCLIP 2.0", (0.122, 0.404, 0.217), ((0.714, 0.686), (0.600, 0.571), (0.634, 0.577), (0.413, 0.443))),
        ("Marqo-FashionCLIP", (0.159, 0.446, 0.265), ((0.714, 0.571), (0.667, 0.613), (0.725, 0.613), (0.500, 0.496))),
        ("Marqo-FashionSigLIP", (0.179, 0.489, 0.293), ((0.571, 0.686), (0.711, 0.687), (0.704, 0.629), (0.587, 0.502))),
    )
}  # fmt: skip
"""Published zero-shot figures by model, task and measure: see `PUBLISHED_PROTOCOL`."""
