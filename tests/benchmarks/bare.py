"""The yardstick: FastAPI and uvicorn as their own documentation starts them. `python … PORT`."""

import sys

import uvicorn
from fastapi import FastAPI

from tests.benchmarks.shapes import Thing

app = FastAPI()


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"message": "hello"}


@app.post("/things")
async def post_thing(thing: Thing) -> Thing:
    return thing


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
