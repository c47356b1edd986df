"""Rules on secrets, and between keys."""

from importlib.util import find_spec

import pytest

from internal.config.secrets import generate_key
from tests.unit.config.folder import Folder

PLACEHOLDERS = [
    "<the database user's password>",
    "changeme",
    "CHANGE_ME",
    "please-change-me-now",
    "placeholder",
    "secret",
    "Password",
    "example",
    "TODO",
    "xxxxxxxx",
    "your-password-here",
]
SECRETS = {
    "DB_PASSWORD": "{}",
    "REDIS_PASSWORD": "{}",
    "JWT_SECRET": "{}",
    "JWT_SECRET_PREVIOUS": "0123456789abcdefghijklmnopqrstuvwxyz,{}",
}


@pytest.mark.parametrize("app_env", ["dev", "prod"])
@pytest.mark.parametrize("key", SECRETS)
@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_is_refused_in_dev_and_prod(
    folder: Folder, app_env: str, key: str, placeholder: str
) -> None:
    folder.write(f".env.{app_env}", "")
    value = SECRETS[key].format(placeholder)
    problems = folder.problems({"APP_ENV": app_env, key: value})
    assert (
        f"{key}: still a placeholder (from the environment); put the real secret in its place"
        in problems
    )
    assert all(problem.startswith(f"{key}: ") for problem in problems)


@pytest.mark.parametrize("app_env", ["local", "test"])
def test_a_placeholder_is_fine_where_nothing_is_at_stake(folder: Folder, app_env: str) -> None:
    folder.write(f".env.{app_env}", f"DATA_DIR={folder.path}/var\n")
    settings = folder.load({"APP_ENV": app_env, "DB_PASSWORD": "changeme"}).settings
    assert settings.db_password is not None


@pytest.mark.parametrize(
    "password", ["a,<b>", "x,secret", "secretary", "my example 7", "passwords", "<a>b"]
)
def test_a_password_that_only_resembles_a_placeholder_is_fine(
    folder: Folder, password: str
) -> None:
    settings = folder.load({"DB_PASSWORD": password}).settings
    assert settings.db_password is not None
    assert settings.db_password.get_secret_value() == password


@pytest.mark.parametrize(("algorithm", "least"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
@pytest.mark.parametrize("app_env", ["local", "dev", "test", "prod"])
@pytest.mark.parametrize("key", ["JWT_SECRET", "JWT_SECRET_PREVIOUS"])
def test_a_jwt_secret_is_as_long_as_its_algorithm_asks_for(
    folder: Folder, app_env: str, algorithm: str, least: int, key: str
) -> None:
    folder.write(f".env.{app_env}", f"DATA_DIR={folder.path}/var\n")
    long_enough = "aü" + "b" * least  # bytes are counted
    folder.environ |= {"APP_ENV": app_env, "JWT_ALGORITHM": algorithm}
    folder.environ["JWT_SECRET"] = long_enough.encode()[:least].decode()
    if key == "JWT_SECRET":
        assert folder.load().settings.jwt_secret.get_secret_value()
        short = folder.environ["JWT_SECRET"][:-1]
    else:
        short = f"{'p' * least},{'q' * (least - 1)}"
    (problem,) = folder.problems({key: short})
    assert problem == (
        f"{key}: too short for {algorithm} ({least} bytes) (from the environment); "
        "make one with `groundwork config generate-secrets`"
    )


@pytest.mark.parametrize("app_env", ["local", "dev", "test", "prod"])
@pytest.mark.parametrize("secret", ["{},", "{0},{0}", " {}", "{}\t"])
def test_a_jwt_secret_can_move_to_the_list_of_previous_ones(
    folder: Folder, app_env: str, secret: str
) -> None:
    folder.write(f".env.{app_env}", f"DATA_DIR={folder.path}/var\n")
    (problem,) = folder.problems({"APP_ENV": app_env, "JWT_SECRET": secret.format("k" * 64)})
    assert problem == (
        "JWT_SECRET: a comma or outer space, which JWT_SECRET_PREVIOUS, a list, cannot hold "
        "(from the environment); make one with `groundwork config generate-secrets`"
    )


@pytest.mark.parametrize("debug", ["true", "1", "yes", "on"])
def test_prod_refuses_debug(folder: Folder, debug: str) -> None:
    assert folder.problems({"DEBUG": debug}) == [
        "DEBUG: refused in prod (from the environment); set it to false"
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [("DB_TYPE", "sqlite"), ("REDIS_MODE", "embedded"), ("JOBS_BACKEND", "embedded")],
)
def test_prod_refuses_the_embedded_parts(folder: Folder, key: str, value: str) -> None:
    folder.write(".env.prod", f"{key}={value}\n")
    assert folder.problems() == [
        f"{key}: refused in prod (from {folder.path}/.env.prod); use the real part"
    ]


@pytest.mark.parametrize("app_env", ["local", "dev", "test"])
def test_the_others_take_debug_and_the_embedded_parts(folder: Folder, app_env: str) -> None:
    folder.write(
        f".env.{app_env}",
        "DEBUG=true\nDB_TYPE=sqlite\nREDIS_MODE=embedded\nJOBS_BACKEND=embedded\n",
    )
    folder.environ["DATA_DIR"] = str(folder.path / "var")
    for key in ("DB_HOST", "DB_USERNAME", "DB_PASSWORD", "DB_DATABASE", "REDIS_HOST"):
        del folder.environ[key]
    settings = folder.load({"APP_ENV": app_env}).settings
    assert settings.debug
    assert (settings.db_type, settings.redis_mode) == ("sqlite", "embedded")


def test_the_embedded_parts_serve_one_process_only(folder: Folder) -> None:
    folder.write(".env.dev", "DB_TYPE=sqlite\nREDIS_MODE=embedded\nJOBS_BACKEND=embedded\n")
    problems = folder.problems({"APP_ENV": "dev", "WORKERS": "2"})
    assert [problem.partition(" (")[0] for problem in problems] == [
        f"{key}: serves one process only" for key in ("DB_TYPE", "REDIS_MODE", "JOBS_BACKEND")
    ]
    assert folder.load({"APP_ENV": "dev", "WORKERS": "1"}).settings.workers == 1


def test_one_node_id_for_several_workers_is_refused(folder: Folder) -> None:
    assert folder.load({"SNOWFLAKE_NODE_ID": "0"}).settings.snowflake_node_id == 0
    assert folder.load({"WORKERS": "4"}).settings.workers == 4
    (problem,) = folder.problems({"SNOWFLAKE_NODE_ID": "0", "WORKERS": "4"})
    assert problem.startswith("SNOWFLAKE_NODE_ID: ")


@pytest.mark.parametrize(
    "key", ["DB_HOST", "DB_USERNAME", "DB_PASSWORD", "DB_DATABASE", "REDIS_HOST"]
)
def test_what_a_server_needs_is_required(folder: Folder, key: str) -> None:
    del folder.environ[key]
    assert folder.problems() == [
        f"{key}: missing; set it in the environment, a secret file or the .env file"
    ]


def test_a_redis_without_a_password_is_fine(folder: Folder) -> None:
    assert folder.load().settings.redis_password is None


@pytest.mark.parametrize("url", ["redis://h", "rediss://:p@h/0", "amqp://u:p@h//", "amqps://h"])
def test_a_broker_is_one_of_four_schemes(folder: Folder, url: str) -> None:
    settings = folder.load({"CELERY_BROKER_URL": url}).settings
    assert settings.celery_broker_url is not None
    assert settings.celery_broker_url.get_secret_value() == url


@pytest.mark.parametrize("url", ["http://h", "h:6379", "sqs://h", "//h"])
def test_any_other_broker_is_refused(folder: Folder, url: str) -> None:
    (problem,) = folder.problems({"CELERY_BROKER_URL": url})
    assert problem.startswith("CELERY_BROKER_URL: not a broker: ")
    assert url not in problem.replace("redis://, rediss://, amqp:// or amqps://", "")


@pytest.mark.parametrize("url", ["collector:4318", "grpc://h:4317", "http://", "http:///path"])
def test_a_collector_is_reached_over_http(folder: Folder, url: str) -> None:
    (problem,) = folder.problems({"OTEL_EXPORTER_OTLP_ENDPOINT": url})
    assert problem.startswith("OTEL_EXPORTER_OTLP_ENDPOINT: not a collector: ")
    assert url not in problem.replace("http:// or https://", "")


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter"])
def test_a_collector_without_the_extra_is_refused_and_the_mend_is_named(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(
        "internal.config.settings.find_spec",
        lambda name: None if name == missing else find_spec(name),
    )
    (problem,) = folder.problems({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    assert "this build is without the extra `otel`: install it or unset the key" in problem
    assert folder.load({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}).settings.app_env


def test_the_settings_cannot_be_changed(folder: Folder) -> None:
    settings = folder.load().settings
    with pytest.raises(ValueError, match="frozen"):
        settings.debug = True  # type: ignore[misc]


def test_previous_aes_keys_are_checked_one_by_one(folder: Folder) -> None:
    previous = f"{generate_key()},{generate_key()}"
    assert folder.load({"AES_SECRET_PREVIOUS": previous}).settings.aes_secret_previous
    (problem,) = folder.problems({"AES_SECRET_PREVIOUS": f"{previous},AAAA"})
    assert problem.startswith("AES_SECRET_PREVIOUS: 3 bytes where 32 are needed")
