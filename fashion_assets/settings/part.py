"""What every part of `Settings` is: some fields below one heading.

What belongs here: the class they share. What does not: any setting.
"""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Settings under one heading, which is the first line of the class's docstring."""

    # A part is never made by itself but where its fields are tried; each would cost a command a millisecond.
    model_config = ConfigDict(defer_build=True)
