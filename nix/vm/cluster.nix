# Four machines: the servers, two replicas, and the balancer with the worker. A rolling restart under load
# without a failed request.
{ module, stage }:
let
  replica = {
    imports = [
      module
      stage.keys
      stage.machine
      stage.reachable
    ];
    services.groundwork = {
      enable = true;
      openFirewall = true;
      secrets = stage.secrets // {
        DB_PASSWORD = "/etc/keys/db";
        REDIS_PASSWORD = "/etc/keys/redis";
      };
      settings = {
        DB_HOST = "servers";
        DB_USERNAME = "groundwork";
        DB_DATABASE = "groundwork";
        REDIS_HOST = "servers";
      };
      worker.enable = false;
    };
  };
in
{
  name = "groundwork-cluster";

  nodes = {
    servers.imports = [
      stage.machine
      stage.mysql
      stage.redis
      stage.reachable
    ];
    api1 = replica;
    api2 = replica;
    front =
      { lib, ... }:
      {
        imports = [
          replica
          stage.operator
        ];
        services.groundwork = {
          api.enable = false;
          openFirewall = lib.mkForce false;
          scheduler.enable = false;
          worker = {
            enable = lib.mkForce true;
            concurrency = 1;
          };
        };
        services.haproxy = {
          enable = true;
          # As it is deployed, but for the names of the replicas and the containers' DNS.
          config =
            lib.replaceStrings
              [
                "server api-1 api-1:8000"
                "server api-2 api-2:8000"
                " resolvers runtime init-addr libc,none"
              ]
              [
                "server api-1 api1:8000"
                "server api-2 api2:8000"
                ""
              ]
              (builtins.readFile ../../deploy/haproxy.cfg);
        };
      };
  };

  testScript = ''
    start_all()
    servers.wait_for_unit("mysql.service")
    servers.wait_for_unit("redis.service")
    for replica in (api1, api2):
        replica.wait_for_unit("groundwork.service")
    front.wait_for_unit("groundwork-worker.service")
    front.wait_for_unit("haproxy.service")
    front.wait_until_succeeds("curl --fail http://127.0.0.1:8080/readyz")

    with subtest("replicas that start at once migrate once"):
        for replica in (api1, api2):
            replica.succeed("systemctl is-active groundwork-migrate")

    with subtest("the acceptance suite, with a rolling restart"):
        front.succeed("${
          stage.accept (
            {
              BASE_URL = "http://127.0.0.1:8080";
              REPLICA_URL = "http://api1:8000";
              GROUNDWORK = "ssh api1 ${stage.command}";
              # The worker writes them here, and no replica sees them.
              EXPORTS_APART = "yes";
              RESTART_REPLICAS = "ssh api1 systemctl restart groundwork\nssh api2 systemctl restart groundwork";
            }
            // stage.harm "WORKER" "groundwork-worker.service"
            // stage.over "servers" (
              stage.harm "DATABASE" "mysql.service" // stage.harm "REDIS" "redis.service"
            )
          )
        }")

    with subtest("a replica that loses its power is not missed"):
        api2.crash()
        front.wait_until_succeeds("curl --fail http://127.0.0.1:8080/readyz")
        for _ in range(20):
            front.succeed("curl --fail http://127.0.0.1:8080/version")
  '';
}
