"""Lets unchanged picamera2 code run on libcamera's virtual camera.

Imported by pi-lab.pth in every Python of the root file system; does nothing until picamera2 is
imported. VCAM_FPS paces the frames, which the virtual camera does not.
"""

# ruff: noqa: INP001 - copied to where Python finds it by its own name
from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_Untyped = Any  # picamera2's own types
_MODULE = "picamera2.picamera2"
_REQUESTS_AT_ONCE = 4


def _patch(module: ModuleType) -> None:
    libcamera = importlib.import_module("libcamera")
    allocators = importlib.import_module("picamera2.allocators")

    camera_class, original_init = module.Picamera2, module.Picamera2.__init__

    def raw_modes(self: _Untyped) -> list[dict[str, Any]]:
        # picamera2 asks for raw formats, and virtual cameras have none.
        wishes = self.camera.generate_configuration([libcamera.StreamRole.Viewfinder])
        stream = wishes.at(0)
        size = (stream.size.width, stream.size.height)
        return [{"format": str(name), "size": size} for name in stream.formats.pixel_formats]

    def init(self: _Untyped, *args: _Untyped, **kwargs: _Untyped) -> None:
        original_init(self, *args, **kwargs)
        # NV12 in two planes needs libcamera's own buffers, not those of one DMA heap.
        self.allocator = allocators.LibcameraAllocator(self.camera)
        fps = float(os.environ.get("VCAM_FPS", "0"))
        if fps:
            self.pre_callback = lambda _: time.sleep(1 / fps / _REQUESTS_AT_ONCE)

    camera_class._get_raw_modes, camera_class.__init__ = raw_modes, init


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the interface's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        assert spec.loader is not None
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            _patch(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _Finder())
