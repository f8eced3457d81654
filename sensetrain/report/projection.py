"""Points of many dimensions in, points of two dimensions out, for a picture."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexgraph.common.errors import UserError

Method = Literal["pca", "tsne"]


def project(points: Tensor, method: Method) -> tuple[npt.NDArray[np.float64], tuple[str, str]]:
    """Points in two dimensions.

    Args:
        points: shape (n, width), n > 0.
        method: `pca` for principal components, or `tsne`, which needs scikit-learn and 4 points.

    Returns:
        float64, shape (n, 2), and labels of the two axes.

    Raises:
        UserError: scikit-learn is not installed, or there are too few points for t-SNE.
    """
    if method == "tsne":
        return _tsne(points), ("t-SNE 1", "t-SNE 2")
    coordinates, shares = principal_components(points)
    return coordinates.numpy(), (f"PC 1 ({shares[0]:.0%} of variance)", f"PC 2 ({shares[1]:.0%})")


def principal_components(points: Tensor) -> tuple[Tensor, list[float]]:
    """Coordinates on the two first principal components.

    Args:
        points: shape (n, width).

    Returns:
        float64, shape (n, 2), and the two components' shares of the variance. Without a second component, its
        coordinates and share are 0. Each axis points to the side of its farthest point.
    """
    centred = points.double() - points.double().mean(0)
    left, scale, _ = torch.linalg.svd(centred, full_matrices=False)
    coordinates = torch.nn.functional.pad((left * scale)[:, :2], (0, max(0, 2 - len(scale))))
    farthest = coordinates.gather(0, coordinates.abs().argmax(0, keepdim=True))
    variance = torch.nn.functional.pad(scale.square(), (0, 2))
    total = float(variance.sum()) or 1.0
    return coordinates * torch.where(farthest < 0, -1.0, 1.0), (variance[:2] / total).tolist()


def _tsne(points: Tensor) -> npt.NDArray[np.float64]:
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise UserError(
            "t-SNE needs scikit-learn, which is not installed",
            field="picture",
            remedy="pip install scikit-learn, or --picture pca",
        ) from None
    if len(points) < 4:
        raise UserError(f"t-SNE needs 4 points, there are {len(points)}", field="picture", remedy="--picture pca")
    perplexity = min(30.0, (len(points) - 1) / 3)
    projected: npt.NDArray[np.float64] = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(
        points.float().numpy()
    )
    return projected
