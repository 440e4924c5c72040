"""Regression families: what their shift parameters do."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from metagap.tasks.episode import TaskSpec
from metagap.tasks.functions import WAVEFORMS, Sinusoid
from metagap.tasks.source import Part

SPEC = TaskSpec("regression", 1, 5, 7)


def waves(**shifts):
    tasks = Sinusoid(**shifts).tasks(Part(), "cpu")
    draw = tasks.draw(2000, SPEC, torch.Generator().manual_seed(0))
    return tasks, draw, tasks.episode(draw, SPEC)


def test_points_lie_on_the_sinusoids_of_the_paper():
    _, draw, episode = waves()
    assert episode.support_x.shape == (2000, 5, 1)
    assert episode.query_y.shape == (2000, 7, 1)
    x = torch.cat([episode.support_x, episode.query_x], 1)
    y = torch.cat([episode.support_y, episode.query_y], 1)
    expected = draw.amplitude[:, None, None] * torch.sin(x - draw.phase[:, None, None])
    torch.testing.assert_close(y, expected)
    for value, (low, high) in ((draw.amplitude, (0.1, 5)), (draw.phase, (0, math.pi)), (x, (-5, 5))):
        assert low <= value.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < value.max() <= high


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_waveforms_have_period_range_and_phase_of_the_sine(waveform):
    wave = WAVEFORMS[waveform]
    angle = torch.linspace(-10, 10, 4001, dtype=torch.float64)
    assert wave(angle).abs().max() <= 1
    assert wave(angle).max() > 0.99
    inside = (torch.sin(angle).abs() > 1e-6) & (torch.cos(angle / 2).abs() > 1e-6)
    torch.testing.assert_close(wave(angle + 2 * math.pi)[inside], wave(angle)[inside])
    assert (wave(angle)[inside].sign() == torch.sin(angle)[inside].sign()).all()


def test_every_shift_parameter_shifts_its_own_distribution():
    assert waves(amplitude=(5, 10))[1].amplitude.min() >= 5
    assert waves(phase=(4, 5))[1].phase.min() >= 4
    assert waves(frequency=(2, 3))[1].frequency.min() >= 2
    assert waves(x=(-10, -8))[2].query_x.max() <= -8
    noisy_tasks, draw, noisy = waves(noise=0.5)
    residual = noisy.support_y - noisy_tasks.value(draw, noisy.support_x)
    assert float(residual.std()) == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("shifts", [{"amplitude": (5, 1)}, {"noise": -1}, {"waveform": "round"}, {"frequncy": (1, 2)}])
def test_impossible_shift_parameters_are_refused(shifts):
    with pytest.raises(ValidationError):
        Sinusoid(**shifts)
