"""The sizes of the models whose training is timed."""

# width, depth, vocabulary, context, sequences a step
CPU_MODELS = {"25k": (32, 2, 16, 64, 16), "200k": (64, 4, 16, 64, 16), "700k": (96, 6, 16, 64, 16)}
PACKED_MODEL = (32, 2, 16, 64, 4)
NANOGPT_MODEL = (128, 4, 96, 64, 12)  # the settings that its README gives for a laptop
# width, depth, vocabulary, context, head size; the goal is a share of the dense bf16 peak
GPU_MODELS = {
    "0.1M": ((64, 2, 256, 1024, 32), 0.07),
    "1M": ((128, 5, 256, 1024, 32), 0.12),
    "10M": ((288, 10, 256, 1024, 32), 0.20),
    "30M": ((448, 12, 256, 1024, 64), 0.25),
    "125M": ((768, 12, 32768, 1024, 64), 0.35),
    "350M": ((1024, 24, 32768, 2048, 64), 0.40),
    "1B": ((1792, 24, 32768, 2048, 64), 0.45),
}
GPU_PACKS = {
    "0.1M": ((64, 2, 256, 1024, 32), 32),
    "1M": ((128, 5, 256, 1024, 32), 16),
    "3M": ((192, 7, 256, 1024, 32), 8),
    "10M": ((288, 10, 256, 1024, 32), 4),
}
GPU_DETERMINISTIC = ("1M", "125M")
GPU_PACK_SEQUENCES = 8  # of a small run's batch: what it would use alone
GPU_STEP_TOKENS = 65536

#: Shape (width, depth, vocabulary, context, head size) and tokens a step of the cells of
#: configs/gpu_ladder.yaml that are packed, and of 0.1M at a batch of its own.
LADDER_BATCHES = {
    "0.1M": ((64, 2, 256, 1024, 32), 8192),
    "64 x 2, 1e13": ((64, 2, 256, 512, 32), 6144),
    "128 x 4, 1e15": ((128, 4, 256, 512, 32), 2560),
    "192 x 7, 1e15": ((192, 7, 256, 512, 32), 14336),
}
LARGE = ("350M", "1B")  # which take long to begin
TINY_SIZES = (32, 1, 64, 16, 16)
