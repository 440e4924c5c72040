"""Made-up results of several suites, whose quantities go with their gaps as much as a test wants."""

import dataclasses

import pandas as pd

STEPS = dict.fromkeys(("maml", "reptile", "anil", "protonet", "scratch"), 5)
LEVELS = {"maml": 0.75, "reptile": 0.7, "anil": 0.65, "protonet": 0.6, "scratch": 0.4}


def with_quantities(results, rng, strength=1.0, quantities=("alignment",), iteration=100):
    """The same results with quantities of every split that go with minus its score, and one of the whole cell."""
    table = results.episodes.groupby(["algorithm", "seed", "split"])["query_score"].mean().reset_index()
    rows = []
    for one in table.to_dict("records"):
        for name in quantities:
            value = -strength * one["query_score"] + rng.normal(0, 0.02)
            about = {key: one[key] for key in ("algorithm", "seed", "split")} | {"quantity": name}
            rows += [about | {"iteration": 0, "episode": 0, "value": rng.normal()}]
            rows += [about | {"iteration": iteration, "episode": n, "value": value + 0.1 * (n - 1)} for n in range(3)]
    for (algorithm, seed), _ in table.groupby(["algorithm", "seed"]):
        about = {"algorithm": algorithm, "seed": seed, "split": "", "quantity": "whole", "episode": -1}
        rows.append(about | {"iteration": iteration, "value": rng.normal()})
    return dataclasses.replace(results, quantities=pd.DataFrame(rows))


def suite_results(bench, rng, kind="classification", place=0, seeds=2, strength=1.0, domains=2, algorithms=STEPS):
    """One suite: training tasks, new tasks and domains, each with its own difficulty."""
    made = bench(kind, steps=dict(algorithms))
    splits = {"train": ("meta-train", 0.1), "home": ("in-distribution", 0.05)}
    splits |= {f"domain {d}": ("cross-domain", -0.12 * (d + 1) + rng.normal(0, 0.03)) for d in range(domains)}
    for split, (role, _) in splits.items():
        made.split(split, role)
    for split, (_, ease) in splits.items():
        shared = rng.normal(0, 0.02, size=(1, 20))
        for name in algorithms:
            level = LEVELS[name] + ease * rng.uniform(0.5, 1.5) - 0.01 * place
            scores = level + shared + rng.normal(0, 0.01, size=(seeds, 1)) + rng.normal(0, 0.02, size=(seeds, 20))
            made.add(split, scores if kind == "classification" else scores - 1.5, algorithm=name)
    results = made.results()
    suite = results.suite.model_copy(update={"source": {"name": f"source-{place}"}})
    return with_quantities(dataclasses.replace(results, suite=suite), rng, strength)
