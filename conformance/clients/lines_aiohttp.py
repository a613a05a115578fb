"""Batches without end, by aiohttp, which reads while it writes."""

import asyncio
import queue
import threading

import aiohttp
from lib import TARGET, Checks
from lines_lib import check_lines

checks = Checks(aiohttp=aiohttp.__version__)


def exchange(lines):
    """In a thread with a loop of its own, so that the checks needn't be asynchronous."""
    results = queue.Queue()
    threading.Thread(target=lambda: asyncio.run(talk(lines, results)), daemon=True).start()
    head = results.get(timeout=15)
    if isinstance(head, Exception):
        raise head
    return *head, until_end(results)


def until_end(results):
    while (result := results.get(timeout=15)) is not None:
        if isinstance(result, Exception):
            raise result
        yield result


async def talk(lines, results):
    async def body():
        loop = asyncio.get_running_loop()
        while (line := await loop.run_in_executor(None, next, lines, None)) is not None:
            yield line

    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15), read_bufsize=4 << 20) as session:
            async with session.post(f"{TARGET}/batch", data=body(), headers={"content-type": "application/x-ndjson"}) as answer:
                results.put((answer.status, answer.headers.get("content-type")))
                async for line in answer.content:
                    results.put(line)
        results.put(None)
    except Exception as error:  # noqa: BLE001
        results.put(error)


check_lines(checks, exchange)
checks.report()
