"""Options as a run's config.json holds them."""

from typing import Any

from srez.options.config import Config, fields
from srez.options.rules import out_of_range


def from_dict(values: dict[str, Any]) -> Config:
    """The Config of a config.json's options: missing ones keep their defaults, unknown ones are left out.

    Raises ValueError where a value is of another kind, or not allowed.
    """
    kept = {}
    for f in fields():
        if f.name in values:
            value = values[f.name]
            if f.type is tuple and isinstance(value, list) and all(isinstance(part, str) for part in value):
                value = tuple(value)
            number = f.type is float and type(value) is int
            if (type(value) is not f.type and not number) or out_of_range(value, f.metadata):
                raise ValueError(f"{f.name} is {value!r}")
            kept[f.name] = value
    return Config(**kept)
