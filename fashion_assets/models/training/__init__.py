"""Making the CLIP that ships with the package: pictures and captions in, a model folder out.

What belongs here: choosing and shaping pairs, captions, augmentation, the loss, the loop with its checkpoint, the
measuring of a model on listings it never saw, and the export. What does not: the database, Dagster, the command line,
and using a trained model (the encoder's work; it needs nothing of this package).

All modules but `pairs`, `labels` and `configuration` import torch: only a training run imports them.
"""
