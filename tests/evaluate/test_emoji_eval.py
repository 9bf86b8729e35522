# SPDX-License-Identifier: Apache-2.0
import numpy as np
import torch

from hqdit_mobile.evaluate.emoji_eval import FeatureStatistics, frechet_distance, load_classifier, training_gaussian


def test_frechet_distance_of_commuting_gaussians():
    """With diagonal covariances the distance is sum (mu_a - mu_b)^2 + (sigma_a - sigma_b)^2."""
    rng = np.random.default_rng(0)
    mean_a, mean_b = rng.normal(size=(2, 8))
    sigma_a, sigma_b = rng.uniform(0.1, 2, size=(2, 8))
    expected = ((mean_a - mean_b) ** 2 + (sigma_a - sigma_b) ** 2).sum()
    got = frechet_distance((mean_a, np.diag(sigma_a**2)), (mean_b, np.diag(sigma_b**2)))
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_statistics_merge_to_numpys_mean_and_covariance():
    features = np.random.default_rng(1).normal(size=(50, 256))
    statistics = FeatureStatistics.empty()
    for part in (features[:7], features[7:30], features[30:]):
        statistics.add(part)
    mean, covariance = statistics.gaussian()
    np.testing.assert_allclose(mean, features.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(features, rowvar=False), atol=1e-10)


def test_classifier_has_every_weight_and_the_stored_statistics_are_a_covariance():
    features, semantic, style = load_classifier()(torch.zeros(2, 3, 128, 128))
    assert features.shape == (2, 256) and semantic.shape == (2, 35) and style.shape == (2, 6)
    mean, covariance = training_gaussian()
    assert mean.shape == (256,) and np.linalg.eigvalsh(covariance).min() > -1e-6
    assert frechet_distance((mean, covariance), (mean, covariance)) < 1e-6
