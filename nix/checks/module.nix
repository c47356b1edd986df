# The module, evaluated with the few options of NixOS that it sets, declared here so that it takes a
# second; the units are rendered and read by tests/nix/test_module.py and systemd-analyze. That NixOS
# itself takes them is for the VM tests.
{
  lib,
  pkgs,
  runCommand,
  systemd,
  writeText,
  module,
  python,
}:
let
  inherit (lib) mkOption types;

  anything = mkOption {
    type = types.attrsOf types.anything;
    default = { };
  };
  section = mkOption {
    type = types.attrsOf (
      types.oneOf [
        types.bool
        types.int
        types.str
        types.path
        (types.listOf types.str)
      ]
    );
    default = { };
  };
  units = mkOption {
    type = types.listOf types.str;
    default = [ ];
  };

  unit = {
    options = {
      description = mkOption { type = types.str; };
      script = mkOption {
        type = types.lines;
        default = "";
      };
      environment = mkOption {
        type = types.attrsOf types.str;
        default = { };
      };
      serviceConfig = section;
      unitConfig = section;
    }
    // lib.genAttrs [ "after" "before" "requiredBy" "requires" "wantedBy" "wants" ] (_: units);
  };

  nixos.options = {
    assertions = mkOption {
      type = types.listOf types.attrs;
      default = [ ];
    };
    environment.systemPackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
    };
    networking.firewall.allowedTCPPorts = mkOption {
      type = types.listOf types.port;
      default = [ ];
    };
    services.mysql = {
      enable = lib.mkEnableOption "MySQL";
      package = mkOption { type = types.package; };
      user = mkOption { default = "mysql"; };
      ensureDatabases = units;
      settings = anything;
    };
    services.redis.servers = anything;
    systemd.services = mkOption { type = types.attrsOf (types.submodule unit); };
  };

  evaluate =
    settings:
    (lib.evalModules {
      modules = [
        nixos
        module
        {
          config.services.groundwork = settings // {
            enable = true;
          };
        }
        { config._module.args = { inherit pkgs; }; }
      ];
    }).config;

  describe = config: {
    failed = map (each: each.message) (lib.filter (each: !each.assertion) config.assertions);
    programs = map (each: "${each}/bin") config.environment.systemPackages;
    ports = config.networking.firewall.allowedTCPPorts;
    units = lib.mapAttrs (_: each: removeAttrs each [ "_module" ]) config.systemd.services;
    mysql = removeAttrs config.services.mysql [ "package" ];
    redis = config.services.redis.servers;
  };

  keys = {
    AES_SECRET = "/run/keys/aes";
    JWT_SECRET = "/run/keys/jwt";
  };

  cases = {
    # Servers elsewhere.
    remote = {
      openFirewall = true;
      secrets = keys // {
        DB_PASSWORD = "/run/keys/db";
        REDIS_PASSWORD = "/run/keys/redis";
      };
      settings = {
        DB_HOST = "db.example";
        DB_USERNAME = "app";
        DB_DATABASE = "app";
        REDIS_HOST = "redis.example";
        PORT = 8080;
        METRICS_ENABLED = false;
        TRUSTED_PROXIES = [
          "10.0.0.0/8"
          "192.168.0.0/16"
        ];
      };
      worker = {
        queues = [ "webhooks" ];
        concurrency = 3;
      };
      scheduler.enable = false;
    };
    # Everything on one machine.
    local = {
      secrets = keys;
      database.createLocally = true;
      redis.createLocally = true;
    };
    apiOnly = {
      secrets = keys // {
        DB_PASSWORD = "/run/keys/db";
      };
      redis.createLocally = true;
      database.createLocally = true;
      worker.enable = false;
    };
    workerOnly = {
      secrets = keys;
      redis.createLocally = true;
      database.createLocally = true;
      api.enable = false;
      scheduler.enable = false;
    };
    # What must be refused.
    empty = { };
    leaky = {
      secrets = keys // {
        LOG_LEVEL = "/run/keys/log";
      };
      database.createLocally = true;
      redis.createLocally = true;
      settings.DB_PASSWORD = "in the store";
    };
  };

  results = lib.mapAttrs (_: case: describe (evaluate case)) cases;
  evaluated = writeText "module.json" (builtins.toJSON results);
in
runCommand "module-renders-its-units"
  {
    nativeBuildInputs = [
      python.checkVenv
      systemd
    ];
    env.PYTHONDONTWRITEBYTECODE = "1";
    passthru = { inherit evaluated; };
  }
  ''
    cp -r ${../../.} source
    chmod -R u+w source
    cd source
    MODULE=${evaluated} python -m pytest -p no:cacheprovider -q tests/nix/test_module.py
    touch $out
  ''
