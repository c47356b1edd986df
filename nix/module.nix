# services.groundwork: the API, a worker, a scheduler, and migrations before them. Secrets reach them as
# systemd credentials alone, which the service reads by itself.
{ packages }:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    concatStringsSep
    escapeShellArg
    getExe
    getExe'
    mapAttrs
    mapAttrsToList
    mkDefault
    mkIf
    mkMerge
    mkOption
    optional
    optionals
    types
    ;

  cfg = config.services.groundwork;

  user = "groundwork";
  stateDir = "/var/lib/groundwork";
  # Of root alone; the units get copies.
  madeSecrets = "/var/lib/groundwork-secrets";

  # Every setting and whether it is a secret, from the page that the code writes.
  known = lib.filter (row: row != null) (
    map (builtins.match "\\| `([A-Z][A-Z0-9_]*)` \\| .* \\| (yes)? \\| .*") (
      lib.splitString "\n" (builtins.readFile ../docs/configuration.md)
    )
  );
  settingKeys = map lib.head known;
  secretKeys = map lib.head (lib.filter (row: lib.last row == "yes") known);

  # What is on this machine needs no password that anybody knows.
  made =
    optional (cfg.database.createLocally && !(cfg.secrets ? DB_PASSWORD)) "DB_PASSWORD"
    ++ optional (cfg.redis.createLocally && !(cfg.secrets ? REDIS_PASSWORD)) "REDIS_PASSWORD";
  secrets = lib.genAttrs made (key: "${madeSecrets}/${key}") // cfg.secrets;
  credentials = mapAttrsToList (key: path: "${key}:${path}");

  toValue =
    value:
    if lib.isBool value then
      lib.boolToString value
    else if lib.isList value then
      concatStringsSep "," value
    else
      toString value;

  # Longer than the service needs to drain and to finish what it does.
  stopSeconds = 90;

  hardening = {
    CapabilityBoundingSet = "";
    DevicePolicy = "closed";
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    NoNewPrivileges = true;
    PrivateDevices = true;
    PrivateMounts = true;
    PrivateTmp = true;
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    ProtectSystem = "strict";
    RemoveIPC = true;
    RestrictAddressFamilies = [
      "AF_INET"
      "AF_INET6"
      "AF_UNIX"
    ];
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    SystemCallErrorNumber = "EPERM";
    SystemCallFilter = [
      "@system-service"
      "~@privileged"
    ];
    UMask = "0077";
  };

  variables = mapAttrs (_: toValue) (
    {
      APP_ENV = cfg.environment;
      CONFIG_DIR = "${cfg.configDir}";
      DATA_DIR = stateDir;
      PYTHONDONTWRITEBYTECODE = "1";
      SSL_CERT_FILE = "/etc/ssl/certs/ca-certificates.crt";
    }
    // cfg.settings
  );

  # One name for all, so that they share what they write.
  common = {
    # systemd's own specifiers, as in %h, are none of a setting.
    environment = mapAttrs (_: lib.replaceStrings [ "%" ] [ "%%" ]) variables;
    serviceConfig = hardening // {
      DynamicUser = true;
      PrivateUsers = true;
      User = user;
      StateDirectory = "groundwork";
      StateDirectoryMode = "0700";
      # For LOG_DIR.
      LogsDirectory = "groundwork";
      LogsDirectoryMode = "0700";
      WorkingDirectory = stateDir;
      LoadCredential = credentials secrets;
      LimitNOFILE = 65536;
      TasksMax = mkDefault 4096;
    };
    unitConfig.StartLimitIntervalSec = 0;
  };

  backends =
    optional (made != [ ]) "groundwork-secrets.service"
    ++ optional cfg.database.createLocally "groundwork-database.service"
    ++ optional cfg.redis.createLocally "redis-groundwork.service";

  # A process that stays.
  daemon =
    description: command: more:
    mkMerge [
      common
      {
        inherit description;
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-online.target" ];
        requires = [ "groundwork-migrate.service" ];
        after = [
          "network-online.target"
          "groundwork-migrate.service"
        ]
        ++ backends;
        serviceConfig = {
          ExecStart = "${getExe cfg.package} ${command}";
          Type = "exec";
          Restart = "always";
          RestartSec = 2;
          # The main process stops its children itself, in its own order.
          KillMode = "mixed";
          TimeoutStopSec = mkDefault stopSeconds;
          MemoryMax = mkDefault "2G";
        };
      }
      more
    ];

  address =
    {
      "0.0.0.0" = "127.0.0.1";
      "::" = "::1";
    }
    .${cfg.settings.HOST} or cfg.settings.HOST;
  url = "http://${
    if lib.hasInfix ":" address then "[${address}]" else address
  }:${toString cfg.settings.PORT}";

  # `groundwork` for root, as the services run it: with their settings, their secrets and their user.
  operatorCommand = pkgs.writeShellScriptBin "groundwork" ''
    exec systemd-run --quiet --collect --wait --pty --pipe \
      ${
        concatStringsSep " " (
          map escapeShellArg (
            mapAttrsToList (key: value: "--setenv=${key}=${value}") variables
            ++ map (property: "--property=${property}") (
              [
                "DynamicUser=true"
                "User=${user}"
                "StateDirectory=groundwork"
                "StateDirectoryMode=0700"
                "LogsDirectory=groundwork"
                "LogsDirectoryMode=0700"
                "WorkingDirectory=${stateDir}"
              ]
              ++ map (credential: "LoadCredential=${credential}") common.serviceConfig.LoadCredential
            )
          )
        )
      } \
      -- ${getExe cfg.package} "$@"
  '';

  # The unit is started when it can serve, and what is ordered after it waits for that.
  healthGate = pkgs.writeShellScript "groundwork-is-ready" ''
    exec ${getExe pkgs.curl} --silent --show-error --fail --output /dev/null --noproxy '*' \
      --max-time 5 --retry 60 --retry-delay 1 --retry-all-errors ${url}/readyz
  '';

  mysql = getExe' config.services.mysql.package "mysql";
in
{
  options.services.groundwork = {
    enable = lib.mkEnableOption "Groundwork, a FastAPI backend";

    package = mkOption {
      type = types.package;
      default = packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = lib.literalExpression "groundwork.packages.\${system}.default";
      description = "The package with the `groundwork` command.";
    };

    environment = mkOption {
      type = types.enum [
        "dev"
        "test"
        "prod"
      ];
      default = "prod";
      description = "`APP_ENV`: which `.env` file of the configuration folder is read.";
    };

    configDir = mkOption {
      type = types.path;
      default = import ./configs.nix { inherit lib; };
      defaultText = lib.literalExpression "the files that Groundwork ships";
      description = "The folder of `.env.*` files. Secrets do not belong there.";
    };

    settings = mkOption {
      type = types.submodule {
        freeformType = types.attrsOf (
          types.oneOf [
            types.bool
            types.int
            types.str
            (types.listOf types.str)
          ]
        );
        options = {
          HOST = mkOption {
            type = types.str;
            default = if cfg.openFirewall then "0.0.0.0" else "127.0.0.1";
            defaultText = lib.literalMD "`0.0.0.0` with `openFirewall`, else `127.0.0.1`";
            description = "The address to listen on.";
          };
          PORT = mkOption {
            type = types.ints.between 1024 65535;
            default = 8000;
            description = "The port to listen on. Lower ones need a capability, and the service has none.";
          };
        };
      };
      default = { };
      example = {
        DB_HOST = "db.example";
        TRUSTED_PROXIES = [ "10.0.0.0/8" ];
      };
      description = ''
        Settings by their names, see docs/configuration.md; lists are joined by commas. World-readable:
        secrets go into {option}`services.groundwork.secrets`.
      '';
    };

    secrets = mkOption {
      type = types.attrsOf (
        types.pathWith {
          inStore = false;
          absolute = true;
        }
      );
      default = { };
      example = {
        AES_SECRET = "/run/keys/aes";
        JWT_SECRET = "/run/keys/jwt";
      };
      description = ''
        Files outside the store that hold one secret each, readable by root. They reach the service by
        `LoadCredential`.
      '';
    };

    api.enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether this machine serves the API.";
    };

    worker = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether this machine carries out jobs.";
      };
      queues = mkOption {
        type = types.nonEmptyListOf (types.strMatching "[a-z_]+");
        default = [
          "default"
          "webhooks"
        ];
        description = "The queues that it takes jobs from.";
      };
      concurrency = mkOption {
        type = types.ints.between 1 256;
        default = 2;
        description = "Jobs at a time, each in a process of its own.";
      };
    };

    scheduler.enable = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether this machine runs a scheduler of its own; the API then is none. One of all schedulers
        works at a time.
      '';
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the port of the API in the firewall.";
    };

    database.createLocally = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether to run MySQL on this machine, with a database and a user for the service. Its password is
        made at the first start, unless {option}`services.groundwork.secrets` has `DB_PASSWORD`.
      '';
    };

    redis.createLocally = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether to run a Redis for the service on this machine, on port 6379 of the loopback interface.
        Its password is made at the first start, unless {option}`services.groundwork.secrets` has
        `REDIS_PASSWORD`.
      '';
    };
  };

  config = mkIf cfg.enable (mkMerge [
    {
      assertions = [
        {
          assertion = lib.intersectLists secretKeys (lib.attrNames cfg.settings) == [ ];
          message = "services.groundwork.settings is world-readable: ${concatStringsSep ", " (lib.intersectLists secretKeys (lib.attrNames cfg.settings))} must go into services.groundwork.secrets";
        }
        {
          assertion = lib.subtractLists settingKeys (lib.attrNames cfg.settings) == [ ];
          message = "services.groundwork.settings: ${concatStringsSep ", " (lib.subtractLists settingKeys (lib.attrNames cfg.settings))} is no setting of Groundwork";
        }
        {
          assertion = lib.subtractLists secretKeys (lib.attrNames cfg.secrets) == [ ];
          message = "services.groundwork.secrets: ${concatStringsSep ", " (lib.subtractLists secretKeys (lib.attrNames cfg.secrets))} is no secret of Groundwork";
        }
      ]
      ++
        map
          (key: {
            assertion = secrets ? ${key};
            message = "services.groundwork.secrets.${key} must be set";
          })
          ([
            "AES_SECRET"
            "JWT_SECRET"
            "DB_PASSWORD"
          ])
      ++
        map
          (key: {
            assertion = cfg.settings ? ${key};
            message = "services.groundwork.settings.${key} must be set";
          })
          [
            "DB_HOST"
            "DB_USERNAME"
            "DB_DATABASE"
            "REDIS_HOST"
          ];

      environment.systemPackages = [ operatorCommand ];

      networking.firewall.allowedTCPPorts = mkIf cfg.openFirewall [ cfg.settings.PORT ];

      systemd.services = {
        groundwork-migrate = mkMerge [
          common
          {
            description = "Groundwork: the database's schema";
            wants = [ "network-online.target" ] ++ backends;
            # Wanted, not required: an outage of theirs must not stop the service.
            after = [ "network-online.target" ] ++ backends;
            serviceConfig = {
              ExecStart = "${getExe cfg.package} migrate";
              Type = "oneshot";
              RemainAfterExit = true;
              # A database that is not up yet is no reason to give up, nor for what waits for this.
              Restart = "on-failure";
              RestartMode = "direct";
              RestartSec = 2;
              MemoryMax = mkDefault "1G";
            };
          }
        ];

        groundwork = mkIf cfg.api.enable (
          daemon "Groundwork: the API" "serve" {
            environment = mkIf cfg.scheduler.enable { SCHEDULER_ENABLED = mkDefault "false"; };
            serviceConfig = {
              ExecStartPost = healthGate;
              TimeoutStartSec = mkDefault 120;
            };
          }
        );

        groundwork-worker = mkIf cfg.worker.enable (
          daemon "Groundwork: jobs" (concatStringsSep " " [
            "worker"
            "--queues ${escapeShellArg (concatStringsSep "," cfg.worker.queues)}"
            "--concurrency ${toString cfg.worker.concurrency}"
          ]) { }
        );

        groundwork-scheduler = mkIf cfg.scheduler.enable (
          daemon "Groundwork: the scheduler" "scheduler" {
            # Before that of `daemon`, after that of an administrator.
            serviceConfig.MemoryMax = lib.mkOverride 900 "1G";
          }
        );
      };
    }

    (mkIf (made != [ ]) {
      systemd.services.groundwork-secrets = {
        description = "Groundwork: passwords of the servers on this machine";
        before = optional cfg.redis.createLocally "redis-groundwork.service";
        requiredBy = optional cfg.redis.createLocally "redis-groundwork.service";
        serviceConfig = hardening // {
          Type = "oneshot";
          RemainAfterExit = true;
          StateDirectory = baseNameOf madeSecrets;
          StateDirectoryMode = "0700";
          PrivateNetwork = true;
        };
        # Renamed into place: a power cut leaves no half of a password.
        script = ''
          for key in ${concatStringsSep " " made}; do
            [ -s ${madeSecrets}/$key ] && continue
            head --bytes 32 /dev/urandom | base64 --wrap 0 | tr '+/=' '-_.' > ${madeSecrets}/$key.new
            mv ${madeSecrets}/$key.new ${madeSecrets}/$key
          done
        '';
      };
    })

    (mkIf cfg.database.createLocally {
      services.groundwork.settings = {
        DB_HOST = mkDefault "127.0.0.1";
        DB_USERNAME = mkDefault user;
        DB_DATABASE = mkDefault "groundwork";
      };

      assertions =
        map
          (key: {
            assertion = builtins.match "[A-Za-z0-9_-]+" (toValue cfg.settings.${key}) != null;
            message = "services.groundwork.settings.${key}: letters, digits, _ and - name what is made on this machine";
          })
          [
            "DB_DATABASE"
            "DB_USERNAME"
          ];

      services.mysql = {
        enable = true;
        package = mkDefault pkgs.mysql84;
        ensureDatabases = [ cfg.settings.DB_DATABASE ];
        settings.mysqld = {
          bind-address = mkDefault "127.0.0.1";
          port = mkDefault (cfg.settings.DB_PORT or 3306);
          character-set-server = mkDefault "utf8mb4";
        };
      };

      # services.mysql.ensureUsers makes users of the socket alone, without a password.
      systemd.services.groundwork-database = {
        description = "Groundwork: its user of the database";
        requires = [ "mysql.service" ] ++ optionals (made != [ ]) [ "groundwork-secrets.service" ];
        after = [ "mysql.service" ] ++ optionals (made != [ ]) [ "groundwork-secrets.service" ];
        # The server knows it by its user id, over the socket.
        serviceConfig = hardening // {
          Type = "oneshot";
          RemainAfterExit = true;
          User = config.services.mysql.user;
          LoadCredential = credentials { inherit (secrets) DB_PASSWORD; };
          PrivateNetwork = true;
        };
        # From the credential into a pipe: never an argument, which every user of the machine sees.
        script = ''
          quoted=$(sed "s/[\\\\']/\\\\&/g" < "$CREDENTIALS_DIRECTORY/DB_PASSWORD")
          for host in localhost 127.0.0.1; do
            account="'${cfg.settings.DB_USERNAME}'@'$host'"
            echo "CREATE USER IF NOT EXISTS $account IDENTIFIED BY '$quoted';"
            echo "ALTER USER $account IDENTIFIED BY '$quoted';"
            echo "GRANT ALL ON \`${cfg.settings.DB_DATABASE}\`.* TO $account;"
          done | ${mysql} --batch
        '';
      };
    })

    (mkIf cfg.redis.createLocally {
      services.groundwork.settings.REDIS_HOST = mkDefault "127.0.0.1";

      # Nonces and locks are keys: none may be evicted, and a restart must not forget them.
      services.redis.servers.groundwork = {
        enable = true;
        port = mkDefault (cfg.settings.REDIS_PORT or 6379);
        bind = mkDefault "127.0.0.1";
        requirePassFile = secrets.REDIS_PASSWORD;
        appendOnly = mkDefault true;
        settings.maxmemory-policy = mkDefault "noeviction";
      };
    })
  ]);
}
