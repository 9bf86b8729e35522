# SPDX-License-Identifier: Apache-2.0
"""GPTQ against exhaustive search, plain rounding and a column-by-column transcription of the published algorithm."""

import itertools

import pytest
import torch
from gptq_cases import correlated_hessian, random_weight, values

from hqdit_mobile.ops.formats import E1M2, E2M1, E3M0, lookup_tables
from hqdit_mobile.quantize.gptq import codes_of, damped, gptq, inverse_factor, nearest, refit_scale, search_scale


def loss(weight: torch.Tensor, approximation: torch.Tensor, hessian: torch.Tensor) -> torch.Tensor:
    difference = weight.double() - approximation
    return ((difference @ hessian) * difference).sum()


def test_inverse_factor_is_the_cholesky_factor_of_the_inverse():
    hessian = correlated_hessian(24, 0)
    factor = inverse_factor(hessian)
    torch.testing.assert_close(factor.t() @ factor @ hessian, torch.eye(24, dtype=torch.float64), rtol=0, atol=1e-8)
    assert torch.equal(factor, factor.triu())


def test_inverse_factor_of_a_diagonal():
    hessian = torch.diag(torch.tensor([1.0, 4, 9], dtype=torch.float64))
    assert torch.equal(inverse_factor(hessian), torch.diag(torch.tensor([1, 1 / 2, 1 / 3], dtype=torch.float64)))


@pytest.mark.parametrize(("n", "k", "group"), [(40, 64, 16), (17, 48, 32), (8, 40, 16), (5, 24, 4096)])
def test_error_feedback_beats_rounding(n, k, group):
    hessian = correlated_hessian(k, 1)
    weight = random_weight(n, k, 2)
    with_feedback = gptq(weight, hessian, (E2M1, E1M2), group)
    rounding = gptq(weight, torch.diag(hessian.diagonal()), (E2M1, E1M2), group)
    size = min(group, k)
    assert with_feedback.codes.shape == (n, k) and with_feedback.tables.shape == (n, -(-k // size))
    good = loss(weight, values(with_feedback, size, k), hessian)
    assert good < 0.75 * loss(weight, values(rounding, size, k), hessian)


def test_equals_the_published_algorithm_column_by_column():
    """One candidate only (E3M0 has one multiplier), so that GPTQ has no choice to make but its rounding."""
    k = 32
    hessian, weight = correlated_hessian(k, 3), random_weight(6, k, 4)
    result = gptq(weight, hessian, (E3M0,), 16)
    factor = inverse_factor(hessian)
    scale = search_scale(weight.float(), factor.float().diagonal().square().reciprocal(), (E3M0,), 16).double()
    work = weight / scale[:, None]
    grid = torch.tensor([*E3M0.grid, *[-g for g in E3M0.grid]], dtype=torch.float64)
    expected = torch.empty_like(work)
    for j in range(k):
        expected[:, j] = grid[(work[:, j, None] - grid).abs().argmin(dim=1)]
        error = (work[:, j] - expected[:, j]) / factor[j, j]
        work[:, j:] -= error[:, None] * factor[j, j:]
    ids = result.tables.long().repeat_interleave(16, dim=1)
    assert torch.equal(lookup_tables().double()[ids, result.codes.long()], expected)


def test_scale_search_is_near_the_best_of_a_fine_search():
    weight = random_weight(12, 32, 5).float()
    importance = torch.ones(32)

    def error_at(scale):
        best = torch.full((12, 2), torch.inf)
        groups = (weight / scale[:, None]).view(12, 2, 16)
        for table in lookup_tables()[:28].float():
            nearest = (groups.unsqueeze(-1) - table).abs().amin(dim=-1)
            best = torch.minimum(best, nearest.square().sum(dim=-1))
        return best.sum(dim=1) * scale.square()

    found = error_at(search_scale(weight, importance, (E2M1, E1M2), 16))
    amax = weight.abs().amax(dim=1)
    fine = torch.stack([error_at(amax * c / 120) for c in torch.linspace(0.5, 1.2, 141)]).amin(dim=0)
    assert found.sum() < 1.15 * fine.sum()


def test_group_choice_is_the_best_of_all_tables_for_uncorrelated_inputs():
    """With a diagonal Hessian a group's choice is plain: every table tried by brute force must not do better."""
    weight = random_weight(10, 16, 6)
    result = gptq(weight, torch.eye(16, dtype=torch.float64), (E2M1, E1M2), 16)
    scale = search_scale(weight.float(), torch.ones(16), (E2M1, E1M2), 16)
    scaled = (weight / scale.double()[:, None]).unsqueeze(-1)
    errors = torch.stack(
        [(scaled - table.double()).abs().amin(dim=-1).square().sum(dim=1) for table in lookup_tables()[:28]]
    )
    chosen = errors.gather(0, result.tables.long().t())[0]
    assert (chosen <= errors.amin(dim=0) * 1.02).all()


@pytest.mark.parametrize(("k", "group"), [(48, 16), (40, 16), (24, 24)])
def test_nearest_is_gptq_without_correlations(k, group):
    weight = random_weight(600, k, 13)
    weight[7] = 0
    plain = nearest(weight, (E2M1, E1M2, E3M0), group)
    with_identity = gptq(weight, torch.eye(k, dtype=torch.float64), (E2M1, E1M2, E3M0), group)
    assert torch.equal(plain.codes, with_identity.codes) and torch.equal(plain.tables, with_identity.tables)
    assert torch.equal(plain.scale, with_identity.scale)
    assert plain.tables.unique().numel() > 3 or group == k


def test_codes_are_those_of_the_points():
    ids = torch.arange(29, dtype=torch.uint8).repeat_interleave(16)[:, None]
    codes = torch.arange(16, dtype=torch.uint8).repeat(29)[:, None]
    points = lookup_tables()[ids.long(), codes.long()].float()
    found = codes_of(points, ids, 1)
    assert torch.equal(found, torch.where(codes == 8, torch.zeros_like(codes), codes)), "8 is minus zero"


def test_refitted_scale_is_the_least_squares_one():
    hessian, weight = correlated_hessian(16, 7), random_weight(4, 16, 8)
    points = torch.randint(-12, 13, (4, 16), generator=torch.Generator().manual_seed(0)).double()
    points *= torch.sign((points @ hessian * weight).sum(dim=1, keepdim=True))
    scale = refit_scale(weight, points, hessian, torch.ones(4))
    root = torch.linalg.cholesky(hessian).t()
    for row in range(4):
        fitted = torch.linalg.lstsq((root @ points[row])[:, None], (root @ weight[row])[:, None]).solution.item()
        assert scale[row].item() == pytest.approx(fitted, rel=1e-6)


def test_zero_rows_and_dead_inputs_are_defined():
    hessian = correlated_hessian(32, 9)
    gram = hessian.clone()
    gram[5], gram[:, 5] = 0, 0
    weight = random_weight(4, 32, 10)
    weight[2] = 0
    result = gptq(weight, damped(gram, 0.01), (E2M1, E1M2), 16)
    decoded = values(result, 16, 32)
    assert torch.equal(decoded[2], torch.zeros(32, dtype=torch.float64)) and torch.isfinite(result.scale).all()
    # Nothing correlates with a dead input: its weights are rounded as they are, to half of the coarsest step at most.
    largest = decoded.abs().amax(dim=1)
    assert ((decoded - weight)[:, 5].abs() <= largest / 6 + 1e-12).all()
    everything_dead = gptq(weight, damped(torch.zeros(32, 32), 0.01), (E2M1, E1M2), 16)
    assert torch.isfinite(values(everything_dead, 16, 32)).all()


def test_is_deterministic():
    hessian, weight = correlated_hessian(64, 11), random_weight(20, 64, 12)
    first, second = (gptq(weight, hessian, (E2M1, E1M2), 16) for _ in range(2))
    for a, b in itertools.pairwise((first, second)):
        assert torch.equal(a.codes, b.codes) and torch.equal(a.tables, b.tables) and torch.equal(a.scale, b.scale)
