"""Meta-World: tasks of a robot arm, of which the goals or the tasks themselves are new at test; and their source."""

import pickle
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
import torch
from metagap.errors import UserError
from metagap.tasks.actions import Actions, Gaussian
from metagap.tasks.control import ControlSource
from metagap.tasks.world import Step, World
from pydantic import Field
from torch import Tensor

ARM = Gaussian(4)
SEEN, FRAME, VECTOR = 39, 18, 6
"""Numbers in an observation, which is two frames and no goal; in a frame; and in the vector that places a task."""
LARGE = 128
"""Numbers in a state, which holds that of the largest of the simulated scenes."""


class Scene:
    """One of Meta-World's environments as a function of its state.

    A state is the observation, the frame that is half of the next one, and positions and velocities. All else that the
    environment keeps depends on the vector that places its task, and is made by a reset.
    """

    def __init__(self, name: str):
        mujoco, self.metaworld = import_module("mujoco"), import_module("metaworld")
        self.mujoco, part = mujoco, mujoco.mjtState
        self.name, self.environment = name, self.metaworld.ALL_V3_ENVIRONMENTS[name]()
        self.kept = int(part.mjSTATE_TIME | part.mjSTATE_QPOS | part.mjSTATE_QVEL | part.mjSTATE_WARMSTART)
        self.kept |= int(part.mjSTATE_MOCAP_POS | part.mjSTATE_MOCAP_QUAT)
        self.numbers = mujoco.mj_stateSize(self.environment.model, self.kept)
        # An unstable simulation is no number from there on; by default it begins anew without a word.
        self.environment.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        self.vector: np.ndarray | None = None

    def placed(self, vector: np.ndarray) -> np.ndarray:
        """The state in which the task of this vector begins; it is set up unless it is there already."""
        if self.vector is None or (vector != self.vector).any():
            self.vector, environment = vector, self.environment
            given = vector[: environment._random_reset_space.low.size]
            task = {"rand_vec": given, "env_cls": type(environment), "partially_observable": True}
            environment.set_task(self.metaworld.Task(self.name, pickle.dumps(task)))
            self.first = self.state(environment.reset()[0])
        return self.first

    def state(self, observation: np.ndarray) -> np.ndarray:
        """What is kept now, (LARGE,)."""
        environment, found = self.environment, np.zeros(LARGE)
        end = SEEN + FRAME + self.numbers
        found[:SEEN], found[SEEN : SEEN + FRAME] = observation, environment._prev_obs
        self.mujoco.mj_getState(environment.model, environment.data, found[SEEN + FRAME : end], self.kept)
        return found

    def step(self, vector: np.ndarray, state: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, float]:
        """The next state, and the reward."""
        self.placed(vector)
        if not (np.isfinite(state).all() and np.isfinite(action).all()):
            return np.full(LARGE, np.nan), np.nan
        environment, end = self.environment, SEEN + FRAME + self.numbers
        self.mujoco.mj_setState(environment.model, environment.data, state[SEEN + FRAME : end], self.kept)
        environment._prev_obs, environment.curr_path_length = state[SEEN : SEEN + FRAME].copy(), 0
        observation, reward, *_ = environment.step(action)
        return self.state(observation), float(reward)


scene = cache(Scene)


@dataclass(frozen=True)
class ArmWorld(World):
    """The action moves the hand and closes it; the reward is Meta-World's, 0 to 10 in every step."""

    mappable: ClassVar[bool] = False
    names: tuple[str, ...]
    horizon: int
    actions: Actions = ARM
    observed: int = SEEN
    noises: int = 0
    parameters: dict[str, int] = field(init=False, hash=False)

    def __post_init__(self):
        object.__setattr__(self, "parameters", {"task": len(self.names), "vector": VECTOR})

    def scenes(self, task: dict[str, Tensor]) -> list[tuple[Scene, np.ndarray]]:
        """The scene of each rollout, and the vector that places its task."""
        vectors = task["vector"].double().numpy()
        names = [self.names[i] for i in task["task"].argmax(-1).tolist()]
        return [(scene(name), vector) for name, vector in zip(names, vectors, strict=True)]

    def reset(self, task, noise):
        return torch.from_numpy(np.stack([one.placed(vector) for one, vector in self.scenes(task)]))

    def observe(self, task, state):
        return state[:, :SEEN].to(task["vector"])

    def step(self, task, state, action, noise):
        rows = zip(self.scenes(task), state.numpy(), action.double().numpy(), strict=True)
        states, rewards = zip(*(one.step(vector, now, acts) for (one, vector), now, acts in rows), strict=True)
        return Step(torch.from_numpy(np.stack(states)), action.new_tensor(rewards), torch.zeros(len(action)))

    def random(self, task, noise):
        rows, which = torch.cat([*task.values()], -1).unique(dim=0, return_inverse=True)
        return torch.tensor([at_random(self, tuple(row)) for row in rows.tolist()]).to(noise)[which]


@cache
def at_random(world: ArmWorld, row: tuple[float, ...]) -> float:
    """What one rollout of random actions, the same always, earns in a task."""
    values = torch.tensor([row]).split([*world.parameters.values()], -1)
    noise = torch.randn(world.horizon + 1, 1, ARM.size, generator=torch.Generator().manual_seed(0))
    return float(World.random(world, dict(zip(world.parameters, values, strict=True)), noise))


class MetaWorld(ControlSource):
    """Meta-World (Yu et al. 2019), whose tasks have 50 goals each, which are not seen.

    ML1: one task, and other goals at test. ML10, ML25, ML45: other tasks at test. In the part `val` are the tasks of
    meta-training with other goals.
    """

    benchmark: str = Field(default="reach-v3", description="ML10, ML25, ML45, or the task of an ML1, such as reach-v3")
    goals: int = Field(default=0, ge=0, lt=2**31, description="seed of the goals")
    horizon: int = Field(default=500, ge=1, le=500, description="steps of a rollout")
    licence = "MIT"
    citation = "Yu et al. (2019), Meta-World: A Benchmark and Evaluation for Multi-Task and Meta Reinforcement Learning"

    def tasks(self, part, device):
        require()
        return super().tasks(part, device)

    def digest(self, classes="all"):
        require()
        return f"{super().digest(classes)}, metaworld {version('metaworld')}"

    def world(self):
        known = made(self.benchmark, self.goals)
        return ArmWorld(tuple(dict.fromkeys([*known.train_classes, *known.test_classes])), self.horizon)

    def draw(self, count, part, generator):
        names, known = self.world().names, made(self.benchmark, self.goals)
        tasks = {
            "train": lambda: known.train_tasks,
            "val": lambda: made(self.benchmark, self.goals + 2).train_tasks,  # ML1 tests with the next seed
            "test": lambda: known.test_tasks,
            "all": lambda: [*known.train_tasks, *known.test_tasks],
        }[part]()
        device = generator.device
        chosen = [tasks[i] for i in torch.randint(len(tasks), (count,), generator=generator, device=device).tolist()]
        vectors = torch.zeros(count, VECTOR)
        for row, task in zip(vectors, chosen, strict=True):
            vector = torch.from_numpy(pickle.loads(task.data)["rand_vec"])
            row[: len(vector)] = vector
        which = torch.tensor([names.index(task.env_name) for task in chosen])
        one_hot = torch.nn.functional.one_hot(which, len(names)).float()
        return {"task": one_hot.to(device), "vector": vectors.to(device)}


def require() -> None:
    """Raise UserError where Meta-World is not installed."""
    if find_spec("metaworld") is None:
        raise UserError(
            "Meta-World is not installed: run metagap as `uv run --with metaworld --with mujoco==3.3.0 metagap ...`"
        )


@cache
def made(benchmark: str, seed: int) -> Any:
    """Meta-World's own benchmark, with its tasks."""
    metaworld = import_module("metaworld")
    several = {name: getattr(metaworld, name) for name in ("ML10", "ML25", "ML45")}
    if benchmark in several:
        return several[benchmark](seed=seed)
    if benchmark not in metaworld.ML1.ENV_NAMES:
        allowed = ", ".join([*several, *metaworld.ML1.ENV_NAMES])
        raise UserError(f"source MetaWorld: benchmark = '{benchmark}'; allowed: {allowed}")
    return metaworld.ML1(benchmark, seed=seed)
