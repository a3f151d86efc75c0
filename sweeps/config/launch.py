"""How a sweep is carried out: where, on what, how fast, and what is kept."""

from dataclasses import dataclass, field

DEVICES = ("auto", "cpu", "cuda")

ENGINES = ("local", "ray", "slurm")

STRATEGIES = ("auto", "ddp", "fsdp")


@dataclass(frozen=True, kw_only=True)
class LaunchConfig:
    """Where and how the runs are trained. Nothing here changes a result, so nothing here enters a
    run's identity."""

    engine: str = "local"
    """`local` (processes of this machine), `ray` (a Ray cluster) or `slurm` (job arrays through
    submitit)."""
    workers: int = 2
    """Processes that train at the same time."""
    threads: int = 1
    """CPU threads a process; small models gain nothing from a second one."""
    memory_gb: float | None = None
    """Memory that ray or slurm reserves for a process, on each node of a run."""
    address: str = "auto"
    """The Ray cluster, as ray.init takes it; auto is the one that this machine belongs to."""
    slurm: dict[str, str | int | float] = field(default_factory=dict)
    """What submitit passes on to Slurm, for example `partition`, `account`, `time` (minutes);
    `folder` is where its files lie, and `cluster: local` runs the jobs on this machine."""
    tries: int = 3
    """How often a run is tried whose worker dies, hangs or is preempted; it then counts as
    failed."""
    hang_seconds: float = 600.0
    """A worker that says nothing for so long is ended, and its run tried again."""
    device: str = "auto"
    """auto, cpu or cuda; auto takes cuda where there is one."""
    inner_steps: int = 25
    """Optimizer steps inside one Lightning training step: spreads the Trainer's overhead until it
    vanishes."""
    pack: int | None = None
    """Runs of one shape, batch and length that are trained as one stack; none: chosen by the
    model's size, 1: never."""
    devices: int = 1
    """GPUs (or processes, on a CPU) that share each batch of one run; of each of its nodes."""
    nodes: int = 1
    """Nodes that share each batch of one run, on ray or slurm, each with `devices` of its own."""
    strategy: str = "auto"
    """With several devices: `ddp` (each holds the whole model), `fsdp` (each holds a share of
    weights, gradients and moments), or auto: ddp while the model fits one device."""
    compile: bool = False
    """Have torch.compile fuse the blocks of the model: half a minute that pays in runs of many
    minutes on a GPU. On a CPU it makes steps slower."""
    cuda_graph: bool = True
    """Record the step as a CUDA graph, on a GPU: launches cost nothing any more."""
    deterministic: bool = False
    """Demand algorithms that repeat themselves to the last bit, on a GPU: embedding gradients are
    then sorted and attention takes a slower kernel; benchmarks/throughput.py measures what that
    costs. On a CPU runs repeat anyway."""
    micro_sequences: int | None = None
    """Sequences of a replica that are in memory at once; gradients of the others add up. None: the
    whole batch, and less where memory runs out."""
    checkpoints: str = "checkpoints"
    """Folder for the states of unfinished runs; they are removed as runs finish."""
    checkpoint_seconds: float = 60.0
    """Time between checkpoints; more where writing one would take over 1% of it."""
    held_out_first: bool = False
    """Start the held-out runs before the others, since they are the longest: no core idles at the
    end. By default the order is small before large, so that a forecast sharpens early."""
    stop_settled_relative_width: float | None = None
    """Stop a cell once the 90% interval of its final loss, forecast from its curve and those of the
    sweep's finished runs, is narrower than this share of the loss, for example 0.01. It is then
    `settled`: it has a forecast and no loss, and no fit uses it. Held-out runs, trunks, carriers of
    a learning-rate check and runs on several devices are never stopped. None: none is."""
    flops_per_second: float | None = None
    """Training rate of one process for the time estimate before anything has been timed; none: a
    guess from the model's size."""

    @property
    def world_size(self) -> int:
        """Devices that share each batch of one run, on all its nodes."""
        return self.nodes * self.devices

    @property
    def reserved_gpus(self) -> int:
        """GPUs that ray or slurm reserves on a run's node: none unless `device` says cuda."""
        return self.devices if self.device == "cuda" else 0

    @property
    def reserved_cpus(self) -> int:
        """CPUs that ray or slurm reserves on a run's node: each device has its own threads."""
        return self.threads * self.devices
