"""Models that agree as real ones do, and what members add, spelt out."""

import numpy as np
from scipy.special import softmax


def models_that_agree(models, examples, classes, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, examples)
    shared = rng.normal(size=(examples, classes)) * 1.5
    shared[np.arange(examples), labels] += 2.5
    logits = [
        (shared + rng.normal(size=shared.shape) * noise).astype(np.float32) for _ in range(models)
    ]
    return logits, labels, rng.uniform(0.4, 2.5, models)


def member_scores(logits, temperatures, combination):
    scaled = [x.astype(np.float64) / t for x, t in zip(logits, temperatures, strict=True)]
    return scaled if combination == "logit" else [softmax(x, axis=1) for x in scaled]
