"""Runs inside the environment with the 1.x line of the official SDK: one session through the proxy, its findings as JSON on stdout.

    python sdk1_client.py URL COOKIE
"""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client


async def main(url: str, cookie: str) -> dict:
    found: dict = {"progress": []}

    async def progress(done: float, total: float | None, message: str | None) -> None:
        found["progress"].append(done)

    try:
        async with streamablehttp_client(url, headers={"Cookie": cookie}) as (read, write, session_id):
            async with ClientSession(read, write) as session:
                found["version"] = (await session.initialize()).protocolVersion
                found["tools"] = [tool.name for tool in (await session.list_tools()).tools]
                found["session"] = session_id() is not None
                found["user"] = (await session.call_tool("whoami", {})).structuredContent["user"]
                found["sum"] = (await session.call_tool("add", {"a": 1, "b": 2})).content[0].text
                await session.call_tool("slow_stream", {"seconds": 0.6, "interval": 0.2}, progress_callback=progress)
                # Last, because this line of the SDK gives the connection up after any answer that is not 2xx.
                result = await asyncio.wait_for(session.call_tool("read_files", {"dialect": "json_rpc"}), 10)
                found["refusal"] = {"isError": result.isError, "text": result.content[0].text}
    except BaseException as error:
        found["refusal"] = repr(error)
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
