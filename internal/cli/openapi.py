import json


def openapi() -> None:
    """Print the OpenAPI document of this release; needs no configuration."""
    from internal.app import create_app
    from internal.config.secrets import generate_jwt_secret, generate_key
    from internal.config.settings import Settings

    values = {
        "APP_ENV": "test",
        "DB_TYPE": "sqlite",
        "REDIS_MODE": "embedded",
        "JOBS_BACKEND": "embedded",
        "AES_SECRET": generate_key(),
        "JWT_SECRET": generate_jwt_secret(),
    }
    app = create_app(Settings.model_validate(values))
    print(json.dumps(app.openapi(), indent=2, ensure_ascii=False))
