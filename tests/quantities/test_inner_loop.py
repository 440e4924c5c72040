"""Quantities of the inner loop against the same ones by plain modules and autograd, in float64."""

from __future__ import annotations

import dataclasses
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity
from watching import IMAGES, POINTS, TASKS, Plain, tasks_of, watched

from metagap.algorithms.anil import ANIL
from metagap.algorithms.bayes import Bayes
from metagap.algorithms.boil import BOIL
from metagap.algorithms.cavia import BIAS, CAVIA, CONTEXT, MAP
from metagap.algorithms.controls import Pretrain
from metagap.algorithms.maml import FOMAML, MAML
from metagap.algorithms.meta_sgd import MetaSGD
from metagap.algorithms.protonet import ProtoNet
from metagap.algorithms.reptile import Reptile
from metagap.models.conv4 import Conv4
from metagap.quantities.adaptation_norm import ADAPTATION_NORM
from metagap.quantities.body_and_head import BODY_CHANGE, FEATURE_SIMILARITY, HEAD_CHANGE
from metagap.quantities.coherence import ADAPTATION_COHERENCE, ADAPTED_GRADIENT_COHERENCE, GRADIENT_COHERENCE
from metagap.quantities.curvature import INITIAL_CURVATURE, LARGEST_CURVATURE, PATH_CURVATURE
from metagap.quantities.gradient_alignment import GRADIENT_ALIGNMENT, GRADIENT_INNER_PRODUCT, halves
from metagap.quantities.inner_loop import InnerLoop
from metagap.quantities.support_query_alignment import ADAPTED_SUPPORT_QUERY_ALIGNMENT, SUPPORT_QUERY_ALIGNMENT
from metagap.tasks.episode import Episode, TaskSpec

LEARNERS = {
    "maml": (MAML(inner_lr=0.1), IMAGES, ""),
    "maml on waves": (MAML(inner_lr=0.02), POINTS, ""),
    "anil": (ANIL(inner_lr=0.3), IMAGES, "head."),
}


@pytest.fixture(params=LEARNERS)
def learner(request):
    algorithm, spec, prefix = LEARNERS[request.param]
    seen = watched(algorithm, spec)
    return seen, Plain(seen, prefix)


def assert_equal(found, expected, rtol=1e-9):
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=rtol, atol=1e-12)


class TestHalves:
    def test_are_disjoint_and_balanced(self):
        spec = TaskSpec("classification", 3, 2, 3)  # five of every class: one is left out
        (task,) = (episode for episode in tasks_of(watched(MAML(), spec, tasks=1)))
        task = task._replace(query_y=task.query_y.flip(0), query_x=task.query_x.flip(0))
        first, second = halves(task, 3)
        for half in (first, second):
            assert half.y.bincount().tolist() == [2, 2, 2]
        seen = torch.cat([first.x, second.x]).flatten(1)
        assert len(seen.unique(dim=0)) == 12
        known = {tuple(x.flatten().tolist()): int(y) for x, y in zip(*task.support, strict=True)}
        known |= {tuple(x.flatten().tolist()): int(y) for x, y in zip(task.query_x, task.query_y, strict=True)}
        assert all(
            known[tuple(x.flatten().tolist())] == y for half in (first, second) for x, y in zip(*half, strict=True)
        )

    def test_of_waves_take_every_other_point(self):
        (task,) = tasks_of(watched(MAML(), POINTS, tasks=1))
        whole = torch.cat([task.support_x, task.query_x])
        assert [half.x.tolist() for half in halves(task, 1)] == [whole[0:10:2].tolist(), whole[1:10:2].tolist()]


class TestAlignment:
    def test_of_mini_batches(self, learner):
        seen, plain = learner
        gradients = [[plain.gradient(*half) for half in halves(task, seen.spec.ways)] for task in tasks_of(seen)]
        assert_equal(GRADIENT_ALIGNMENT.measure(seen), [cosine_similarity(a, b, 0) for a, b in gradients])
        assert_equal(GRADIENT_INNER_PRODUCT.measure(seen), [a @ b for a, b in gradients])

    def test_of_support_and_query(self, learner):
        seen, plain = learner
        before, after = [], []
        for task in tasks_of(seen):
            for values, at in ((before, plain), (after, plain.adapted(*task.support))):
                pair = at.gradient(*task.support), at.gradient(task.query_x, task.query_y)
                values.append(cosine_similarity(*pair, 0))
        assert_equal(SUPPORT_QUERY_ALIGNMENT.measure(seen), before)
        assert_equal(ADAPTED_SUPPORT_QUERY_ALIGNMENT.measure(seen), after)


class TestCoherence:
    def test_is_the_mean_over_all_pairs(self, learner):
        seen, plain = learner
        moves, starts, ends = [], [], []
        for task in tasks_of(seen):
            end = plain.adapted(*task.support)
            moves.append(end.vector() - plain.vector())
            starts.append(plain.gradient(*task.support))
            ends.append(end.gradient(task.query_x, task.query_y))

        def mean(vectors, product):
            return np.mean([float(product(a, b)) for a, b in combinations(vectors, 2)])

        assert_equal(ADAPTATION_COHERENCE.measure(seen), mean(moves, lambda a, b: cosine_similarity(a, b, 0)))
        assert_equal(GRADIENT_COHERENCE.measure(seen), mean(starts, torch.dot))
        assert_equal(ADAPTED_GRADIENT_COHERENCE.measure(seen), mean(ends, lambda a, b: cosine_similarity(a, b, 0)))

    def test_is_1_where_all_tasks_are_the_same(self):
        seen = watched(MAML(inner_lr=0.1))
        one = Episode(*(field[:1].expand(TASKS, *field.shape[1:]) for field in seen.target(1)))
        same = dataclasses.replace(seen, target=lambda count: one.tasks(0, count))
        assert_equal(ADAPTATION_COHERENCE.measure(same), 1)

    def test_needs_two_tasks(self):
        assert "compares tasks" in ADAPTATION_COHERENCE.applies(watched(MAML(), tasks=1))


class Smooth(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(1, 5), nn.Tanh())
        self.head = nn.Linear(5, 1)

    def forward(self, x):
        return self.head(self.features(x))


class TestCurvature:
    def test_at_the_start_is_that_of_finite_differences(self, learner):
        seen, plain = learner
        expected = []
        for task in tasks_of(seen):
            way = plain.adapted(*task.support).vector() - plain.vector()
            expected.append(plain.curvature(*task.support, way))
        assert_equal(INITIAL_CURVATURE.measure(seen), expected, rtol=1e-5)

    def test_along_the_way_is_the_mean_of_that_at_every_point(self):
        seen = watched(MAML(inner_lr=0.05), POINTS, Smooth())
        plain, expected = Plain(seen), []
        nodes, weights = np.polynomial.legendre.leggauss(12)
        for task in tasks_of(seen):
            way = plain.adapted(*task.support).vector() - plain.vector()
            at = [plain.at(plain.vector() + (1 + node) / 2 * way).curvature(*task.support, way) for node in nodes]
            expected.append(weights @ at / 2)
        assert_equal(PATH_CURVATURE.measure(seen), expected, rtol=1e-5)

    @pytest.mark.parametrize("name", [pytest.param("maml", marks=pytest.mark.slow), "maml on waves", "anil"])
    def test_largest_is_the_largest_eigenvalue_of_the_whole_hessian(self, name):
        algorithm, spec, prefix = LEARNERS[name]
        network = Conv4((1, 12, 12), 3, filters=2) if name == "maml" else None
        seen = watched(algorithm, spec, network, tasks=2)
        plain = Plain(seen, prefix)
        expected = []
        for task in tasks_of(seen):
            end = plain.adapted(*task.support)
            steps = 1e-6 * torch.eye(len(end.vector()), dtype=torch.float64)
            columns = [
                (end.at(end.vector() + s).gradient(*task.support) - end.at(end.vector() - s).gradient(*task.support))
                for s in steps
            ]
            hessian = torch.stack(columns).numpy() / 2e-6
            expected.append(np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1])
        assert_equal(LARGEST_CURVATURE.measure(seen), expected, rtol=2e-3)

    def test_largest_of_one_parameter_is_its_second_derivative(self):
        seen = watched(CAVIA(inner_lr=0.1, context_size=1), POINTS, Smooth())
        loop, expected = InnerLoop.of(seen), []
        for task in tasks_of(seen):
            end = loop.end(seen.meta, task)
            ahead, behind = (
                loop.inner_gradient({**end, CONTEXT: end[CONTEXT] + step}, task.support)[CONTEXT]
                for step in (1e-6, -1e-6)
            )
            expected.append(float(ahead - behind) / 2e-6)
        assert_equal(LARGEST_CURVATURE.measure(seen), expected, rtol=1e-5)

    def test_objective_is_that_of_the_inner_loop(self):
        mean, total = (
            watched(MAML(inner_lr=rate, inner_loss=loss)) for rate, loss in ((0.3, "mean"), (0.1, "sum-over-shots"))
        )
        for quantity in (INITIAL_CURVATURE, PATH_CURVATURE):
            assert_equal(quantity.measure(total), 3 * quantity.measure(mean))


class TestBodyAndHead:
    @pytest.mark.parametrize("name", LEARNERS)
    def test_change_is_relative_to_the_weights_before(self, name):
        algorithm, spec, prefix = LEARNERS[name]
        seen = watched(algorithm, spec)
        for quantity, part in ((BODY_CHANGE, "features."), (HEAD_CHANGE, "head.")):
            plain, expected = Plain(seen, prefix), []
            for task in tasks_of(seen):
                end = plain.adapted(*task.support)
                before, after = (
                    torch.cat([v.detach().flatten() for n, v in at.network.named_parameters() if n.startswith(part)])
                    for at in (plain, end)
                )
                expected.append(float((after - before).norm() / before.norm()))
            assert_equal(quantity.measure(seen), expected)

    def test_similarity_is_that_of_numpy(self, learner):
        seen, plain = learner
        expected = []
        for task in tasks_of(seen):
            before, after = (
                at.network.features(task.query_x).detach().numpy() for at in (plain, plain.adapted(*task.support))
            )
            before, after = (z - z.mean(0) for z in (before, after))
            expected.append(
                np.linalg.norm(after.T @ before) ** 2
                / (np.linalg.norm(before.T @ before) * np.linalg.norm(after.T @ after))
            )
        found = FEATURE_SIMILARITY.measure(seen)
        assert_equal(found, expected)
        assert (found < 1 - 1e-6).all() or plain.prefix

    def test_boil_leaves_the_head(self):
        seen = watched(BOIL())
        assert (HEAD_CHANGE.measure(seen) == 0).all() and (BODY_CHANGE.measure(seen) > 0).all()

    def test_features_are_those_that_the_algorithm_predicts_with(self):
        seen = watched(CAVIA(inner_lr=5.0, film="plain"))
        assert "none of the network's own weights" in BODY_CHANGE.applies(seen)
        norm, expected = seen.algorithm.network.features[7], []
        for task in tasks_of(seen):
            fast = seen.algorithm.adapt(seen.meta, task.support, 2)
            features = []
            for context in (torch.zeros_like(fast[CONTEXT]), fast[CONTEXT]):
                plain = Plain(seen)
                scale, shift = (fast[MAP] @ context + fast[BIAS]).chunk(2)
                with torch.no_grad():
                    plain.network.features[7].weight.copy_(norm.weight * scale)
                    plain.network.features[7].bias.copy_(norm.bias * scale + shift)
                    z = plain.network.features(task.query_x).numpy()
                features.append((z - z.mean(0)) @ (z - z.mean(0)).T)
            a, b = features
            expected.append((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
        assert_equal(FEATURE_SIMILARITY.measure(seen), expected)
        assert max(expected) < 0.999

    def test_a_head_of_zeros_has_no_relative_change(self):
        assert "the head is zero where Pretrain starts" in HEAD_CHANGE.applies(watched(Pretrain()))
        assert BODY_CHANGE.applies(watched(Pretrain())) == ""

    def test_needs_two_parts(self):
        network = nn.Sequential(nn.Flatten(), nn.Linear(144, 3))
        for quantity in (BODY_CHANGE, HEAD_CHANGE, FEATURE_SIMILARITY):
            assert "not in two parts" in quantity.applies(watched(MAML(), network=network))


class TestPath:
    @pytest.mark.parametrize("name", LEARNERS)
    def test_norm_is_its_length_over_that_of_the_weights(self, name):
        algorithm, spec, prefix = LEARNERS[name]
        seen = watched(algorithm, spec)
        plain, expected = Plain(seen, prefix), []
        for task in tasks_of(seen):
            points = [plain]
            for _ in range(2):
                points.append(points[-1].adapted(*task.support, steps=1))
            length = sum(float((b.vector() - a.vector()).norm()) for a, b in pairwise(points))
            expected.append(length / float(Plain(seen).vector().norm()))
        assert_equal(ADAPTATION_NORM.measure(seen), expected)

    def test_norm_has_what_is_adapted_beside_the_weights(self):
        seen = watched(CAVIA(inner_lr=0.1))
        weights = torch.cat([value.flatten() for value in seen.meta.values()]).norm()
        expected = []
        for task in tasks_of(seen):
            path = [point[CONTEXT] for point in seen.algorithm.adapt_path(seen.meta, task.support, 2)]
            expected.append(sum(float((b - a).norm()) for a, b in pairwise(path)) / float(weights))
        assert_equal(ADAPTATION_NORM.measure(seen), expected)
        assert min(expected) > 0


class TestWhatMoves:
    def test_is_found_by_looking(self):
        network = {name for name, _ in watched(MAML()).algorithm.network.named_parameters()}
        norms = {name for name in network if name.startswith("features.") and int(name.split(".")[1]) % 3 == 1}
        head = {"head.weight", "head.bias"}
        for algorithm, expected in (
            (MAML(), network),
            (FOMAML(adapt_norm=False), network - norms),
            (ANIL(), head),
            (BOIL(), network - head),
            (CAVIA(), {CONTEXT}),
            (MetaSGD(), network),
            (Reptile(carry_moments=True), network),
            (Pretrain(), network),
        ):
            assert set(InnerLoop.of(watched(algorithm)).names) == expected, algorithm

    def test_without_the_network_there_is_no_gradient(self):
        assert "Bayes predicts something else than its network" in GRADIENT_ALIGNMENT.applies(watched(Bayes(), POINTS))

    def test_one_step_from_a_head_of_zeros_moves_the_head_alone(self):
        names = set(InnerLoop.of(watched(Pretrain(), steps=1)).names)
        assert {"head.weight"} <= names <= {"head.weight", "head.bias"}

    @pytest.mark.parametrize(
        ("algorithm", "steps", "why"),
        [
            (ProtoNet(), 2, "ProtoNet has no inner gradient steps"),
            (MAML(), 0, "evaluation.steps is 0"),
        ],
    )
    def test_nothing_is_said_where_there_is_nothing(self, algorithm, steps, why):
        for quantity in (GRADIENT_ALIGNMENT, SUPPORT_QUERY_ALIGNMENT, GRADIENT_COHERENCE, PATH_CURVATURE, BODY_CHANGE):
            assert why in quantity.applies(watched(algorithm, steps=steps))
