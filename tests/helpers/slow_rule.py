"""The published rule once more, slowly: loops and float64, written from its definition and not from the code."""

import math

import numpy as np


def softmax(row):
    largest = max(row)
    exponentials = [math.exp(value - largest) if value > -math.inf else 0.0 for value in row]
    total = sum(exponentials)
    return [value / total for value in exponentials]


def candidates(row, top_m, top_p):
    """Token ids, the most probable first; of equally probable ones the lower id first."""
    probability = softmax(row)
    order = sorted(range(len(row)), key=lambda token: (-row[token], token))
    chosen, mass = [], 0.0
    for token in order[:top_m]:
        if (top_p < 1 and mass >= top_p) or row[token] == -math.inf:
            break
        chosen.append(token)
        mass += probability[token]
    return chosen


def rescore(row, ids, weights, content, top_m, top_p):
    """One row of logits -> token id: score, or None where the step is left to default decoding."""
    row = [float(value) for value in row]
    if any(math.isnan(value) or value == math.inf for value in row) or max(row) == -math.inf:
        return None
    chosen = candidates(row, top_m, top_p)
    if any(not content[token] for token in chosen):
        return None
    probability = softmax(row)
    scores = {}
    for token in chosen:
        scores[token] = sum(
            max(0.0, float(weight)) * probability[neighbour]
            for neighbour, weight in zip(ids[token], weights[token], strict=True)
        )
    return scores if any(score > 0 for score in scores.values()) else None


def neighbours(embedding, content, k, apart=()):
    """ids and weights of each token's neighbourhood by plain cosine similarity, itself first."""
    embedding = np.asarray(embedding, dtype=np.float64)
    length = np.linalg.norm(embedding, axis=1)
    tokens = [token for token in range(len(embedding)) if content[token]]
    ids, weights = [], []
    for token in range(len(embedding)):
        near = [(token, 1.0)]
        if content[token]:
            others = []
            for other in tokens:
                if other != token and (token, other) not in apart:
                    product = length[token] * length[other]
                    cosine = float(embedding[token] @ embedding[other] / product) if product > 0 else 0.0
                    others.append((other, cosine))
            others.sort(key=lambda pair: (-pair[1], pair[0]))
            near += others[: k - 1]
        near += [(token, None)] * (k - len(near))
        ids.append([other for other, _ in near])
        weights.append([0.0 if cosine is None else max(0.0, cosine) for _, cosine in near])
    return ids, weights
