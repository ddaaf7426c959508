"""What goes wrong on purpose."""


class KernelUnavailableError(RuntimeError):
    """A compiled implementation cannot run here or on these inputs; the message says why and what to do."""
