"""The yardstick: FastAPI and uvicorn as their own documentation starts them. `python … PORT`."""

from fastapi import FastAPI

from tests.benchmarks.bare_server import serve
from tests.benchmarks.shapes import Thing

app = FastAPI()


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"message": "hello"}


@app.post("/things")
async def post_thing(thing: Thing) -> Thing:
    return thing


if __name__ == "__main__":
    serve(app)
