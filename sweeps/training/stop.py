"""The ways in which training is told to end early."""


class Stopped(BaseException):
    """Raised out of `send` where the processor is wanted back: save what resumes, and leave."""
