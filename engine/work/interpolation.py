"""Decode and predict the points between two stored z's: the worker's side of a task."""

import math
from collections.abc import Generator

import torch

from engine.optimizer import Optimization
from engine.store.reading import Reader
from engine.store.records import TaskRecord
from engine.vector_path import Point, cosine, path_between, read_plan, result_of
from engine.work.task_runners import Progress, TaskContext, TaskOutcome


def interpolate(context: TaskContext, task: TaskRecord) -> Generator[Progress, None, TaskOutcome]:
    """Work out one point a piece: its texts, and the loss with the target of the first end's run."""
    with Reader(context.database) as reader:
        plan = read_plan(reader, task.arguments)
    bundle = context.load_bundle(plan.spec)
    yield Progress(0, plan.points)
    first, last = plan.ends
    steps_t, vectors = path_between(first, last, plan.points, plan.path)  # (N,), (N, D)
    objective = Optimization([plan.spec], bundle, initial=vectors[:1])
    points: list[Point] = []
    for t, z in zip(steps_t.tolist(), vectors, strict=True):
        vector = torch.tensor(z, device=bundle.device).unsqueeze(0)  # (1, D)
        objective.read(vector)
        with torch.no_grad():
            evaluation = objective.evaluate(vector)
        texts = objective.decode(evaluation, [0])[0]
        points.append(
            Point(
                t=t,
                norm=evaluation.z.norm().item(),
                cosine_from=cosine(z, first),
                cosine_to=cosine(z, last),
                loss=_finite(evaluation.loss.item()),
                similarity=_finite(evaluation.similarity.item()),
                match=texts.match,
                decoded_z=texts.decoded_z,
                decoded_prediction=texts.decoded_prediction,
            )
        )
        yield Progress(len(points), plan.points)
    return TaskOutcome(result_of(points))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
