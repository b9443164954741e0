"""What a memory of identities (M3L's classifier) can learn of the miniature benchmark's training set."""

import numpy as np
import torch
from torch.nn import functional as F

from dgreid.images.normalise import normalise
from dgreid.methods.base import Method
from dgreid.networks.memory import IdentityMemory
from studies.story_runs import pack, protocol

IMAGES = 4  # of an identity in a batch


@torch.no_grad()
def memory(method: Method) -> dict[str, float]:
    """Measure M3L's memory: how alike its centroids are, and how often it identifies training images.

    `cosine`: mean over pairs of centroids of a domain; `named right`: per cent of the training images whose
    likeliest identity in their domain is their own, in training mode, about 16 random images of one domain at
    a time (the loss sees 4 identities x 4 images). Chance is 1 per cent.
    """
    rows, classifier = protocol().train, method.network.classifier
    cosines, right = [], []
    method.train()
    for _, part in rows.groupby("domain"):
        own = np.unique(part["identity"])
        centroids = classifier.centroids[own]
        cosines.append(float((centroids @ centroids.T).sum() - len(own)) / (len(own) * (len(own) - 1)))
        labels = np.searchsorted(own, part["identity"].to_numpy())
        images = pack(part["dataset"].iloc[0])[part["row"].to_numpy()]
        for chosen in np.array_split(np.random.default_rng(0).permutation(len(images)), len(images) // 16):
            pooled = method.network.pool(normalise(torch.from_numpy(images[chosen])))
            logits = classifier(method.network.neck(pooled))[:, own]  # (about 16, identities of the domain)
            right += list(logits.argmax(1).numpy() == labels[chosen])
    return {"cosine": round(float(np.mean(cosines)), 3), "named right": round(100 * float(np.mean(right)), 2)}


@torch.no_grad()
def standing_still(method: Method, count: int) -> dict[str, float]:
    """Measure a memory of a network that does not change, so that no centroid grows old.

    M3L's memory is filled by two passes of batches of `count` x 4 images of one domain, each normalised by
    its own statistics, then evaluated during a third: mean cross-entropy and per cent named right, over
    domains. `chance` is the cross-entropy of equal guesses.
    """
    rng, found = np.random.default_rng(0), []
    method.train()
    for _, part in protocol().train.groupby("domain"):
        labels = part["identity"].to_numpy()
        labels = np.searchsorted(np.unique(labels), labels)
        images = pack(part["dataset"].iloc[0])[part["row"].to_numpy()]
        classes = labels.max() + 1
        held = IdentityMemory(classes, method.network.backbone.channels)
        for turn in range(3):
            order = rng.permutation(classes)
            for chosen in order[: classes - classes % count].reshape(-1, count):
                rows = np.concatenate([rng.choice(np.flatnonzero(labels == i), IMAGES) for i in chosen])
                pooled = method.network.backbone(normalise(torch.from_numpy(images[rows]))).mean((2, 3))
                features, asked = method.network.neck(pooled), torch.from_numpy(labels[rows])  # (4 count, C)
                if turn < 2:
                    held.update(features, asked)
                    continue
                logits = held(features)  # (4 count, classes)
                right = float((logits.argmax(1) == asked).float().mean())
                found.append((float(F.cross_entropy(logits, asked)), 100 * right, np.log(classes)))
    entropy, right, chance = np.mean(found, axis=0).tolist()
    return {"cross-entropy": round(entropy, 2), "named right": round(right, 1), "chance": round(chance, 2)}
