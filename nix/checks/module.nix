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
    # Other ports and addresses, and values that systemd or a shell would read otherwise.
    unusual = {
      secrets = keys // {
        OTEL_EXPORTER_OTLP_ENDPOINT = "/run/keys/otel";
      };
      database.createLocally = true;
      redis.createLocally = true;
      settings = {
        HOST = "::";
        DB_PORT = 3307;
        REDIS_PORT = 6380;
        JWT_ISSUER = "100%h \"of\" 'it' $HOME";
      };
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
    mistyped = {
      secrets = keys;
      database.createLocally = true;
      redis.createLocally = true;
      settings = {
        LOG_LEVLE = "DEBUG";
        DB_DATABASE = "app`; DROP";
      };
    };
  };

  # What the types must refuse: what is asked of each of these fails.
  wrong = {
    "a port that needs a capability" = {
      settings.PORT = 80;
    };
    "no port" = {
      settings.PORT = "8000";
    };
    "a secret in the store" = {
      secrets.AES_SECRET = "${writeText "secret" "known"}";
    };
    "a secret by a relative path" = {
      secrets.AES_SECRET = "keys/aes";
    };
    "an environment that there is not" = {
      environment = "local";
    };
    "no queue" = {
      worker.queues = [ ];
    };
    "a queue with a space" = {
      worker.queues = [ "a b" ];
    };
    "no worker at all" = {
      worker.concurrency = 0;
    };
    "a setting of settings" = {
      settings.DB = {
        HOST = "db";
      };
    };
    "an option that there is not" = {
      workers = 3;
    };
  };
  works = {
    secrets = keys;
    database.createLocally = true;
    redis.createLocally = true;
  };
  refused =
    case:
    let
      settings = lib.recursiveUpdate works case;
    in
    !(builtins.tryEval (builtins.toJSON (describe (evaluate settings)))).success;

  results = lib.mapAttrs (_: case: describe (evaluate case)) cases // {
    # With nothing wrong, too: or all would be refused for another reason.
    refused = lib.mapAttrs (_: refused) (wrong // { "nothing" = { }; });
  };
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
