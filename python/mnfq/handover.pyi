from types import TracebackType
from typing import Any, Optional, Protocol, Tuple, Type, Union

KEEP: int
PLAIN: int

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

_Descriptor = Union[int, _HasFileno]

class Received:
    label: str
    netns_cookie: int
    pid: int
    uid: int
    gid: int
    plain: bool
    keep: bool
    def __init__(self, stream: _Descriptor, values: Tuple[Any, ...]) -> None: ...
    def fileno(self) -> int: ...
    def detach(self) -> int: ...
    def accept(self) -> None: ...
    def refuse(self, errno: int, message: Optional[str] = ...) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Received: ...
    def __exit__(
        self,
        type: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None: ...
    def __del__(self) -> None: ...

def send(
    stream: _Descriptor,
    sock: _Descriptor,
    *,
    label: Optional[str] = ...,
    keep: bool = ...,
    timeout: Optional[float] = ...,
) -> None: ...
def wait(stream: _Descriptor, *, timeout: Optional[float] = ...) -> None: ...
def receive(stream: _Descriptor, *, plain: bool = ..., timeout: Optional[float] = ...) -> Received: ...
