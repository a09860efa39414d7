# SPDX-License-Identifier: MIT
"""Waiting for a descriptor, with asyncio or trio."""


async def _readable_asyncio(loop, fd):
    ready = loop.create_future()
    loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(fd)


async def readable(fd):
    import asyncio  # here, since many programs do without

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        await trio.lowlevel.wait_readable(fd)
    else:
        await _readable_asyncio(loop, fd)
