# The image that is shipped, under podman: read-only, without capabilities, migrations from the same image.
{
  lib,
  images,
  stage,
}:
let
  inherit (lib.importTOML ../../pyproject.toml) project;
  reference = "groundwork:${project.version}";

  options = [
    "--network=host"
    # Of podman's own 10 s, draining alone takes half; a machine without KVM is slow.
    "--stop-timeout=60"
    "--read-only"
    "--cap-drop=all"
    "--security-opt=no-new-privileges"
    "--volume=/etc/keys:/run/secrets:ro"
    # What the worker exports, the API hands out.
    "--volume=exports:/var/lib/groundwork/exports"
  ]
  ++ lib.mapAttrsToList (key: value: "--env=${key}=${value}") {
    APP_ENV = "prod";
    HOST = "127.0.0.1";
    DB_HOST = "127.0.0.1";
    DB_USERNAME = "groundwork";
    DB_DATABASE = "groundwork";
    DB_PASSWORD_FILE = "/run/secrets/db";
    REDIS_HOST = "127.0.0.1";
    REDIS_PASSWORD_FILE = "/run/secrets/redis";
    AES_SECRET_FILE = "/run/secrets/aes";
    JWT_SECRET_FILE = "/run/secrets/jwt";
  };
in
{
  name = "groundwork-image";

  nodes.machine = {
    imports = [
      stage.keys
      stage.machine
      stage.mysql
      stage.redis
    ];
    virtualisation.memorySize = 3072;
    virtualisation.oci-containers = {
      backend = "podman";
      containers = lib.genAttrs [ "groundwork" "groundwork-worker" ] (name: {
        image = reference;
        imageFile = images.image;
        pull = "never";
        # After the migrations, which the script runs.
        autoStart = false;
        extraOptions = options;
        cmd = lib.optionals (name == "groundwork-worker") [
          "worker"
          "--concurrency"
          "1"
        ];
      });
    };
  };

  testScript = ''
    machine.start()
    machine.wait_for_unit("mysql.service")
    machine.wait_for_unit("redis.service")

    with subtest("migrations from the same image"):
        machine.succeed("podman load --input ${images.image}")
        machine.succeed("podman run --rm ${lib.concatStringsSep " " options} ${reference} migrate >&2")

    with subtest("it starts, ready and healthy"):
        machine.succeed("systemctl start podman-groundwork.service podman-groundwork-worker.service")
        machine.wait_until_succeeds("curl --fail http://127.0.0.1:8000/readyz", timeout=300)
        machine.succeed("podman healthcheck run groundwork")

    with subtest("it is nobody, and can write nothing"):
        pid = machine.succeed("podman inspect --format '{{.State.Pid}}' groundwork").strip()
        status = machine.succeed(f"cat /proc/{pid}/status")
        assert "Uid:\t65532\t65532\t65532\t65532" in status, status
        for line in status.splitlines():
            if line.startswith("Cap"):
                assert line.split()[1] == "0" * 16, line

    with subtest("the acceptance suite"):
        machine.succeed("${
          stage.accept (
            {
              BASE_URL = "http://127.0.0.1:8000";
              GROUNDWORK = "podman exec --interactive groundwork /bin/groundwork";
              # What systemd would kill is podman's monitor.
              KILL_WORKER = "podman kill groundwork-worker; systemctl stop podman-groundwork-worker.service";
              START_WORKER = "systemctl start podman-groundwork-worker.service";
            }
            // stage.harm "DATABASE" "mysql.service"
            // stage.harm "REDIS" "redis.service"
          )
        }")

    with subtest("a stop is graceful"):
        machine.succeed("systemctl stop podman-groundwork.service podman-groundwork-worker.service")
        machine.succeed("journalctl -u podman-groundwork.service | grep 'Application shutdown complete'")
  '';
}
