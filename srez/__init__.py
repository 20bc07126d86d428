"""srez: GANs that turn 16x16 faces into 64x64 ones.

from srez import load
bigger = load().upscale(picture)  # uint8 [h, w, 3] -> uint8 [4h, 4w, 3]
"""

import importlib

__version__ = "0.1.0"
__all__ = ["Config", "Network", "UserError", "load"]
_MODULES = {
    "Config": "srez.options.config",
    "UserError": "srez.errors",
    "Network": "srez.inference.network",
    "load": "srez.inference.network",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: those of srez.inference bring TensorFlow, seconds."""
    if name not in _MODULES:
        raise AttributeError(f"module 'srez' has no attribute '{name}'")
    if _MODULES[name].startswith("srez.inference"):
        from srez.system.screen import import_tensorflow

        import_tensorflow()
    return getattr(importlib.import_module(_MODULES[name]), name)
