"""A launcher that trains in this process."""

from sweeps.launchers.base import TaskEnded, TaskMessage


def work_here(tasks, work, launch, again):
    """Do each task here, instead of in worker processes, which would import torch for seconds."""
    for task in tasks:
        messages = []
        work(task, messages.append)
        yield from (TaskMessage(task=task, message=message) for message in messages)
        yield TaskEnded(task=task)
