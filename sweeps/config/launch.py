"""How a sweep is carried out: where, on what, how fast, and what is kept."""

from dataclasses import dataclass, field

from scaling.errors import ConfigError
from sweeps.config.rules.section import Section

DEVICES = ("auto", "cpu", "cuda")

ENGINES = ("local", "ray", "slurm")

KERNELS = ("auto", "fused", "plain")

STRATEGIES = ("auto", "ddp", "fsdp")


@dataclass(frozen=True, kw_only=True)
class ResourcesConfig(Section, place="launch.resources"):
    """What one run takes, and how its devices share it. Ray and Slurm reserve it."""

    choices = {"strategy": STRATEGIES}

    devices: int = 1
    """GPUs (or processes, on a CPU) that share each batch of one run; of each of its nodes."""
    nodes: int = 1
    """Nodes that share each batch of one run, on ray or slurm, each with `devices` of its own."""
    strategy: str = "auto"
    """With several devices: `ddp` (each holds the whole model), `fsdp` (each holds a share of
    weights, gradients and moments), or auto: ddp while the model fits one device."""
    threads: int = 1
    """CPU threads per process; small models gain nothing from a second one."""
    memory_gb: float | None = None
    """Memory that ray or slurm reserves for a process, on each node of a run."""
    device_memory_gb: float | None = None
    """Memory of one GPU. `scaling plan` refuses a run that cannot fit it; none: nobody knows."""

    def __post_init__(self) -> None:
        """Refuse what no run can take."""
        self.check_positive("devices", "nodes", "threads", "memory_gb", "device_memory_gb")
        self.check_choice("strategy")
        if self.world_size == 1 and self.strategy != "auto":
            raise ConfigError(
                f"{self.key('strategy')} {self.strategy} shares a run among "
                f"{self.key('devices')}, which is 1; give more devices, or leave the strategy out"
            )

    @property
    def world_size(self) -> int:
        """Devices that share each batch of one run, on all its nodes."""
        return self.nodes * self.devices


@dataclass(frozen=True, kw_only=True)
class SpeedConfig(Section, place="launch.speed"):
    """How fast a process trains."""

    choices = {"kernels": KERNELS}

    inner_steps: int = 25
    """Optimizer steps inside one Lightning training step: spreads the Trainer's overhead until it
    vanishes."""
    pack: int | None = None
    """Runs of one shape, batch and length that are trained as one stack; none: chosen by the
    model's size, 1: never."""
    micro_sequences: int | None = None
    """Sequences of a replica that are in memory at once; gradients of the others add up. None: the
    whole batch, and less where memory runs out."""
    kernels: str = "auto"
    """On a GPU, norms, queries and keys, the squared ReLU and the cross-entropy as one kernel each
    (`fused`, by Triton), or as PyTorch has them (`plain`); auto: each as it is faster, by a
    measurement of a few seconds on the device. What cannot be fused stays plain, and `notes` say
    so. A CPU has no such kernels."""
    compile: bool | str = "auto"
    """Have torch.compile fuse the blocks of the model instead: half a minute for each shape. auto:
    on a GPU where they run without fused kernels, for runs of five minutes and more by the estimate
    of `flops_per_second`. On a CPU it makes steps slower."""
    cuda_graph: bool = True
    """Record the step as a CUDA graph, where one GPU trains a run: launches cost nothing any
    more."""
    deterministic: bool = False
    """Demand algorithms that repeat themselves to the last bit, on a GPU: embedding gradients are
    then sorted and attention takes a slower kernel; benchmarks/speed/throughput.py measures what
    that costs. On a CPU runs repeat anyway."""
    flops_per_second: float | None = None
    """Training rate of one process for the time estimate before anything has been timed; none: a
    guess from the model's size."""

    def __post_init__(self) -> None:
        """Refuse sizes that are none."""
        self.check_positive("inner_steps", "pack", "micro_sequences", "flops_per_second")
        self.check_choice("kernels")
        if self.compile not in (True, False, "auto"):
            raise ConfigError(
                f'{self.key("compile")} is "{self.compile}"; it must be true, false or auto'
            )


@dataclass(frozen=True, kw_only=True)
class ValidationConfig(Section, place="launch.validation"):
    """What runs are measured on while they train, beside the final measurement of the whole
    validation set. It changes no result, and is the curve `validation_loss` in the store."""

    evaluations: int = 10
    """How often a run is measured, at equal shares of its steps; 0: never. Runs that share their
    batches among devices are not."""
    cost: float = 0.01
    """Of the FLOP of its training, what this may take at most: so many of the validation sequences
    are read, the same each time. Where that is fewer than eight, the run is not measured."""

    def __post_init__(self) -> None:
        """Refuse costs that are none."""
        self.check_positive("cost")
        if self.evaluations < 0:
            raise ConfigError(f"{self.key('evaluations')} is {self.evaluations}; 0 is never")


@dataclass(frozen=True, kw_only=True)
class CheckpointsConfig(Section, place="launch.checkpoints"):
    """What is kept of unfinished runs."""

    folder: str = "checkpoints"
    """Where their states lie; they are removed as runs finish."""
    seconds: float = 60.0
    """Time between checkpoints; more where writing one would take over 1% of it."""

    def __post_init__(self) -> None:
        """Refuse a time that is none."""
        self.check_positive("seconds")


@dataclass(frozen=True, kw_only=True)
class PolicyConfig(Section, place="launch.policy"):
    """In which order runs start, and when to stop or give up on one."""

    tries: int = 3
    """How often a run is tried whose worker dies, hangs or is preempted; it then counts as
    failed."""
    hang_seconds: float = 600.0
    """A worker that says nothing for so long is ended, and its run tried again."""
    held_out_first: bool = False
    """Start the held-out runs before the others, since they are the longest: no core idles at the
    end. By default the order is small before large, so that a forecast sharpens early."""
    stop_settled_relative_width: float | None = None
    """Stop a run once the 90% interval of its final loss, forecast from its curve and those of the
    sweep's finished runs, is narrower than this share of the loss, for example 0.01. It is then
    `settled`: it has a forecast and no loss, and no fit uses it. Held-out runs, trunks, carriers of
    a learning-rate check and runs on several devices are never stopped. None: none is."""

    def __post_init__(self) -> None:
        """Refuse limits that no run can keep."""
        self.check_positive("tries", "hang_seconds", "stop_settled_relative_width")


@dataclass(frozen=True, kw_only=True)
class LaunchConfig(Section, place="launch"):
    """Where and how the runs are trained. Nothing here changes a result, so nothing here enters a
    run's identity.

    What is typed with nearly every launch, and changes from one machine to the next, lies at the
    top; the rest in parts by the question that it answers. A setting that the engine does not use
    is refused.
    """

    choices = {"engine": ENGINES, "device": DEVICES}

    engine: str = "local"
    """`local` (processes of this machine), `ray` (a Ray cluster) or `slurm` (job arrays through
    submitit)."""
    address: str = "auto"
    """The Ray cluster, as ray.init takes it; auto is the one that this machine belongs to."""
    slurm: dict[str, str | int | float] = field(default_factory=dict)
    """What submitit passes on to Slurm, for example `partition`, `account`, `time` (minutes);
    `folder` is where its files lie, and `cluster: local` runs the jobs on this machine."""
    workers: int = 2
    """Processes that train at the same time."""
    device: str = "auto"
    """auto, cpu or cuda; auto takes cuda where there is one."""
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    """What one run takes."""
    keep_weights: bool = False
    """Keep the weights of each finished model, for `scaling sample` and `scaling score`: a file
    RUN_ID.safetensors a run. Runs that had finished before have none."""
    weights_folder: str = "weights"
    """Where those files lie; on a cluster a folder that all its machines see."""
    speed: SpeedConfig = field(default_factory=SpeedConfig)
    """How fast a process trains."""
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    """What runs are measured on while they train."""
    checkpoints: CheckpointsConfig = field(default_factory=CheckpointsConfig)
    """What is kept of unfinished runs."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """In which order runs start, and when to stop or give up on one."""

    def __post_init__(self) -> None:
        """Refuse unknown places, and what the engine of this launch does not use."""
        self.check_positive("workers")
        self.check_choice("engine", "device")
        for name, engine in (("address", "ray"), ("slurm", "slurm")):
            if self.engine != engine:
                self.check_unused(
                    f"is not used by engine {self.engine}; it is for {self.key('engine')} "
                    f"{engine}: choose that, or leave it out",
                    name,
                )
        if self.on_one_machine:
            self.resources.check_unused(
                "is not used where all jobs run on one machine; choose launch.engine ray or slurm "
                "on a cluster, or leave it out",
                "nodes",
                "memory_gb",
            )
        if not self.keep_weights:
            self.check_unused(
                f"is not used without {self.key('keep_weights')}: true; set that, or leave it out",
                "weights_folder",
            )
        if self.device == "cpu":
            self.resources.check_unused(
                "is that of a GPU, and launch.device is cpu; leave one of them out",
                "device_memory_gb",
            )
        if self.world_size > 1:
            self.policy.check_unused(
                "does not stop runs on several devices; leave it out, or give each run one device",
                "stop_settled_relative_width",
            )

    @property
    def on_one_machine(self) -> bool:
        """Whether all jobs run where `scaling run` does."""
        return self.engine == "local" or self.slurm.get("cluster") == "local"

    @property
    def world_size(self) -> int:
        """Devices that share each batch of one run, on all its nodes."""
        return self.resources.world_size

    @property
    def reserved_gpus(self) -> int:
        """GPUs that ray or slurm reserves on a run's node: none unless `device` says cuda."""
        return self.resources.devices if self.device == "cuda" else 0

    @property
    def reserved_cpus(self) -> int:
        """CPUs that ray or slurm reserves on a run's node: each device has its own threads."""
        return self.resources.threads * self.resources.devices
