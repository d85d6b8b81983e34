"""Asks a service through litellm, so many requests at a time, and prints what that came to as JSON.

    python client.py BASE_URL REQUESTS IN_FLIGHT
"""

import asyncio
import json
import os
import sys
import time

# Its list of prices comes with the package; it need not be fetched.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm  # noqa: E402

WARM_UP = 50


async def ask(number, gate, base_url):
    async with gate:
        answer = await litellm.acompletion(
            model="openai/m",
            api_base=base_url,
            api_key="none",
            messages=[{"role": "user", "content": f"question {number}"}],
        )
    assert answer.choices[0].message.content


async def main():
    base_url, requests, in_flight = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    gate = asyncio.Semaphore(in_flight)
    # Connections and caches are there before the clock runs.
    await asyncio.gather(*(ask(-number, gate, base_url) for number in range(WARM_UP)))
    begun, worked = time.perf_counter(), time.process_time()
    await asyncio.gather(*(ask(number, gate, base_url) for number in range(requests)))
    seconds, worked = time.perf_counter() - begun, time.process_time() - worked
    print(json.dumps({"requests_per_second": requests / seconds, "processor_ms": 1000 * worked / requests}))


asyncio.run(main())
