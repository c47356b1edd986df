# One machine with all of it by the module: MySQL 8.4 over TCP, Redis, API, worker, scheduler.
{ module, stage }:
{
  name = "groundwork-module";

  nodes.machine = {
    imports = [
      module
      stage.keys
      stage.machine
    ];
    virtualisation.memorySize = 3072;
    services.groundwork = {
      enable = true;
      inherit (stage) secrets;
      database.createLocally = true;
      redis.createLocally = true;
      worker.concurrency = 1;
    };
  };

  testScript = ''
    machine.start()
    for unit in ("groundwork", "groundwork-worker", "groundwork-scheduler"):
        machine.wait_for_unit(f"{unit}.service")

    with subtest("the user of the database authenticates as MySQL 8.4 has it"):
        query = "SELECT DISTINCT plugin FROM mysql.user WHERE user = 'groundwork'"
        plugin = machine.succeed(f'sudo -u mysql mysql --batch --skip-column-names -e "{query}"')
        assert plugin.strip() == "caching_sha2_password", plugin

    with subtest("no password is in the environment, and no file of it is for others"):
        machine.fail("systemctl show --property=Environment groundwork | grep -i password=")
        modes = machine.succeed("stat -c %a /var/lib/groundwork-secrets /var/lib/groundwork-secrets/*")
        assert modes.split() == ["700", "600", "600"], modes

    with subtest("the acceptance suite"):
        machine.succeed("${
          stage.accept (
            {
              BASE_URL = "http://127.0.0.1:8000";
              GROUNDWORK = stage.command;
            }
            // stage.harm "DATABASE" "mysql.service"
            // stage.harm "REDIS" "redis-groundwork.service"
            // stage.harm "WORKER" "groundwork-worker.service"
          )
        }")

    with subtest("a stop is graceful"):
        machine.succeed("systemctl stop groundwork groundwork-worker groundwork-scheduler")
        for unit in ("groundwork", "groundwork-worker", "groundwork-scheduler"):
            result = machine.succeed(f"systemctl show --property=Result --value {unit}")
            assert result.strip() == "success", (unit, result)

    with subtest("all of it is back after a reboot, with the passwords that were made"):
        machine.shutdown()
        machine.start()
        machine.wait_for_unit("groundwork.service")
        machine.succeed("curl --fail http://127.0.0.1:8000/readyz")
  '';
}
