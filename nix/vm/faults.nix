# Servers on machines of their own are cut off, lose their power, and the disk of the logs is full.
{ module, stage }:
{
  name = "groundwork-faults";

  nodes = {
    database.imports = [
      stage.machine
      stage.mysql
      stage.reachable
    ];
    cache.imports = [
      stage.machine
      stage.redis
      stage.reachable
    ];
    api = {
      imports = [
        module
        stage.keys
        stage.machine
        stage.operator
      ];
      services.groundwork = {
        enable = true;
        secrets = stage.secrets // {
          DB_PASSWORD = "/etc/keys/db";
          REDIS_PASSWORD = "/etc/keys/redis";
        };
        settings = {
          DB_HOST = "database";
          DB_USERNAME = "groundwork";
          DB_DATABASE = "groundwork";
          REDIS_HOST = "cache";
          LOG_DIR = "/var/log/small";
        };
        worker.concurrency = 1;
      };
      systemd.services.groundwork.serviceConfig.TemporaryFileSystem = "/var/log/small:size=1M,mode=1777";
      systemd.services.groundwork-worker.serviceConfig.TemporaryFileSystem =
        "/var/log/small:size=1M,mode=1777";
      systemd.services.groundwork-scheduler.serviceConfig.TemporaryFileSystem =
        "/var/log/small:size=1M,mode=1777";
    };
  };

  testScript = ''
    READY = "curl --fail --max-time 10 http://127.0.0.1:8000/readyz"
    ALIVE = "curl --fail --max-time 10 http://127.0.0.1:8000/livez"

    start_all()
    database.wait_for_unit("mysql.service")
    cache.wait_for_unit("redis.service")
    api.wait_for_unit("groundwork.service")

    with subtest("the acceptance suite"):
        api.succeed("${
          stage.accept (
            {
              BASE_URL = "http://127.0.0.1:8000";
              GROUNDWORK = stage.command;
            }
            // stage.harm "WORKER" "groundwork-worker.service"
            // stage.over "database" (stage.harm "DATABASE" "mysql.service")
            // stage.over "cache" (stage.harm "REDIS" "redis.service")
          )
        }")

    with subtest("cut off: packets are dropped, nothing is refused"):
        for node in (database, cache):
            port = 3306 if node is database else 6379
            rule = f"INPUT -p tcp --dport {port} -j DROP"
            node.succeed(f"iptables -I {rule}")
            api.wait_until_fails(READY)
            api.succeed(ALIVE)
            node.succeed(f"iptables -D {rule}")
            api.wait_until_succeeds(READY)

    with subtest("the database's machine loses its power and is started again"):
        restarts = api.succeed("systemctl show --property=NRestarts --value groundwork")
        database.crash()
        api.wait_until_fails(READY)
        api.succeed(ALIVE)
        database.start()
        database.wait_for_unit("mysql.service")
        api.wait_until_succeeds(READY)
        assert restarts == api.succeed("systemctl show --property=NRestarts --value groundwork")

    with subtest("the disk of the logs is full"):
        pid = api.succeed("systemctl show --property=MainPID --value groundwork").strip()
        api.execute(f"nsenter --target {pid} --mount dd if=/dev/zero of=/var/log/small/fill bs=4k")
        for _ in range(50):
            api.succeed(READY)
        api.succeed(f"nsenter --target {pid} --mount rm /var/log/small/fill")
        api.succeed(READY)
  '';
}
