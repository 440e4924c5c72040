"""Physics by MuJoCo: a step of a body as an operation on tensors, for many rollouts at once.

The simulator is deterministic, so that a step is a pure function of state and action: it is registered with torch as an
operation that vmap maps and a trace keeps, and the worlds that are made of it need not be run one task at a time.
"""

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metagap.errors import UserError

log = logging.getLogger("metagap")

Measured = Literal["nothing", "mass centre", "torso and forces"]

THREADED = 64
"""Rollouts from which on threads share them, where there are cores for more than one."""


class Physics(NamedTuple):
    """What a step depends on beside state and action.

    frames: steps of the simulator in a step. measured: what is kept of the simulator's quantities after a step:
    position and velocity of the centre of mass (6,), or where the torso was in the last step of the simulator (3,) and
    the forces on all parts (parts * 6,). mass, friction, damping: factors of those of all parts of the body.
    """

    body: Literal["half_cheetah", "ant"]
    frames: int
    measured: Measured = "nothing"
    mass: float = 1.0
    friction: float = 1.0
    damping: float = 1.0

    @property
    def nq(self) -> int:
        """Numbers in positions."""
        return SIZES[self.body].nq

    @property
    def nv(self) -> int:
        """Numbers in velocities."""
        return SIZES[self.body].nv

    @property
    def time(self) -> float:
        """Seconds of a step."""
        return self.frames * TIME_STEP

    def reset(self, positions: Tensor, velocities: Tensor) -> Tensor:
        """The state (R, ...) at displacements (R, nq) from the body's initial positions, with velocities (R, nv)."""
        positions = positions.double() + torch.tensor(SIZES[self.body].start, dtype=torch.float64)
        size = SIZES[self.body].actions
        state = torch.cat([positions, velocities.double(), velocities.double() * 0], -1)
        return _step(*self._replace(frames=0), state, state[:, :size])

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        """The state after a step with these controls (R, actions)."""
        return _step(*self, state, action.to(state))

    def positions(self, state: Tensor) -> Tensor:
        """(R, nq)"""
        return state[..., : self.nq]

    def velocities(self, state: Tensor) -> Tensor:
        """(R, nv)"""
        return state[..., self.nq : self.nq + self.nv]

    def measurements(self, state: Tensor) -> Tensor:
        """What is measured: (R, ...)."""
        return state[..., self.nq + 2 * self.nv :]


class Sizes(NamedTuple):
    """Of a body: positions, velocities, actions, parts, and where it starts."""

    nq: int
    nv: int
    actions: int
    parts: int
    start: tuple[float, ...]


TIME_STEP = 0.01
SIZES = {
    "half_cheetah": Sizes(9, 9, 6, 7, (0.0,) * 9),
    "ant": Sizes(15, 14, 8, 13, (0.0, 0.0, 0.75, 1.0, *(0.0,) * 11)),
}


def require() -> None:
    """Raise UserError where the simulator is not installed."""
    if absent := [name for name in ("mujoco", "gymnasium") if find_spec(name) is None]:
        raise UserError(
            f"the simulated worlds need {' and '.join(absent)}, which is not installed: pip install 'metagap[mujoco]'"
        )


@torch.library.custom_op("metagap::physics_step", mutates_args=())
def _step(
    body: str,
    frames: int,
    measured: str,
    mass: float,
    friction: float,
    damping: float,
    state: Tensor,
    action: Tensor,
) -> Tensor:
    """The states of R rollouts after a step; a state is positions, velocities, the solver's start, and what is
    measured. frames = 0: nothing moves, and what depends on positions and velocities is computed."""
    simulator = _simulator(body, measured, mass, friction, damping)
    return torch.from_numpy(simulator(frames, state.cpu().numpy(), action.cpu().numpy())).to(state.device)


@_step.register_fake
def _(body, frames, measured, mass, friction, damping, state, action):
    size = SIZES[body]
    numbers = {"nothing": 0, "mass centre": 6, "torso and forces": 3 + 6 * size.parts}[measured]
    return state.new_empty(len(state), size.nq + 2 * size.nv + numbers)


@_step.register_vmap
def _(info: Any, in_dims: Any, *given: Any) -> tuple[Tensor, int]:
    """The rollouts of all tasks side by side."""
    *physics, state, action = given
    state, action = (
        value.expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)
        for value, dim in zip((state, action), in_dims[-2:], strict=True)
    )
    found = _step(*physics, state.flatten(0, 1), action.flatten(0, 1))
    return found.unflatten(0, state.shape[:2]), 0


class Simulator:
    """One body of MuJoCo's, for a row of states after the other; threads take the simulator's data in turn."""

    def __init__(self, body: str, measured: str, mass: float, friction: float, damping: float):
        """See `Physics`. Raises UserError where MuJoCo is not installed."""
        require()
        mujoco = self._mujoco = _mujoco()
        mujoco.set_mju_user_warning(_log)  # it would write into a file of the working folder
        self.model = _model(mujoco, body)
        self.model.body_mass[:] *= mass
        self.model.body_inertia[:] *= mass
        self.model.geom_friction[:] *= friction
        self.model.dof_damping[:] *= damping
        mujoco.mj_setConst(self.model, mujoco.MjData(self.model))
        # By default an unstable simulation begins anew without a word; so it is no number from there on.
        self.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        self._measure, self._measured = self._measures(measured)
        self._idle: deque[Any] = deque()

    def __call__(self, frames: int, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """The states (R, numbers) after a step with these controls (R, actions)."""
        size = self.model.nq + 2 * self.model.nv
        rows = np.concatenate([states[:, :size], actions], 1)
        found = np.empty((len(rows), size + self._measured))
        threads = min(torch.get_num_threads(), len(rows) // THREADED)
        if threads <= 1:
            self._run(frames, rows, found)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda i: self._run(frames, rows[i::threads], found[i::threads]), range(threads)))
        return found

    def _run(self, frames: int, rows: np.ndarray, found: np.ndarray) -> None:
        """One after the other; the simulator lets other threads compute meanwhile."""
        mujoco, model = self._mujoco, self.model
        data = self._idle.pop() if self._idle else mujoco.MjData(model)
        part = mujoco.mjtState
        state = int(part.mjSTATE_QPOS | part.mjSTATE_QVEL | part.mjSTATE_WARMSTART)
        given, size = state | int(part.mjSTATE_CTRL), found.shape[1] - self._measured
        lost = ~np.isfinite(rows).all(1)  # the simulator would go on without what is no number
        found[lost] = np.nan
        for i in np.flatnonzero(~lost):
            row, result = rows[i], found[i]
            mujoco.mj_setState(model, data, row, given)
            if frames:
                mujoco.mj_step(model, data, nstep=frames)
            else:
                mujoco.mj_forward(model, data)
            mujoco.mj_getState(model, data, result[:size], state)
            if self._measured:
                result[size:] = self._measure(data, frames)
        self._idle.append(data)

    def _measures(self, measured: str) -> tuple[Callable[[Any, int], Any], int]:
        """What to measure of the simulator's data after a step, and how many numbers that is."""
        mujoco, model = self._mujoco, self.model

        def mass_centre(data: Any, frames: int) -> np.ndarray:
            for compute in (mujoco.mj_kinematics, mujoco.mj_comPos, mujoco.mj_comVel, mujoco.mj_subtreeVel):
                compute(model, data)
            return np.concatenate([data.subtree_com[1], data.subtree_linvel[1]])

        def torso_and_forces(data: Any, frames: int) -> np.ndarray:
            if frames:
                mujoco.mj_rnePostConstraint(model, data)
            forces = data.cfrc_ext[1:].ravel()
            return np.concatenate([data.xpos[1], forces if frames else 0 * forces])  # as in gymnasium

        return {
            "nothing": (lambda data, frames: None, 0),
            "mass centre": (mass_centre, 6),
            "torso and forces": (torso_and_forces, 3 + 6 * (model.nbody - 1)),
        }[measured]


def _mujoco() -> Any:
    """The module, which need not be installed where types are checked."""
    return import_module("mujoco")


def _log(text: str) -> None:
    log.debug("mujoco: %s", text)


@cache
def _simulator(body: str, measured: str, mass: float, friction: float, damping: float) -> Simulator:
    return Simulator(body, measured, mass, friction, damping)


def _model(mujoco: Any, body: str) -> Any:
    """The model that comes with gymnasium; its other modules are not needed, nor what they draw with."""
    spec = find_spec("gymnasium")
    assert spec is not None and spec.origin is not None
    text = (Path(spec.origin).parent / "envs" / "mujoco" / "assets" / f"{body}.xml").read_text()
    # MuJoCo warns of this attribute at every reading; what it does is done below.
    total = ' settotalmass="14"'
    model = mujoco.MjModel.from_xml_string(text.replace(total, ""))
    if total in text:
        mujoco.mj_setTotalmass(model, 14)
    return model
