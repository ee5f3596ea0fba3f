"""OpenVINO, imported without its telemetry.

What belongs here: the import and nothing else; whoever needs the runtime imports it from here, when it is needed.
"""

import sys

# OpenVINO reports each import to its maker over the network unless told otherwise in the user's home. It does without
# the package that would, and None makes that import fail.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402
from openvino import opset13  # noqa: E402

__all__ = ["openvino", "opset13"]
