# What the test machines have in common: the acceptance suite as a program, secrets that are none, and the
# servers of a deployment that runs them elsewhere.
{
  lib,
  pkgs,
  python,
}:
let
  inherit (import "${pkgs.path}/nixos/tests/ssh-keys.nix" pkgs) snakeOilPrivateKey snakeOilPublicKey;

  password = "a database's p@ss: w/ord";
  redisPassword = "a-redis-password";
in
rec {
  inherit redisPassword;

  # The module's own, not that of the suite's environment.
  command = "/run/current-system/sw/bin/groundwork";

  # The acceptance suite with this environment, as a program.
  accept =
    environment:
    lib.getExe (
      pkgs.writeShellApplication {
        name = "acceptance";
        runtimeInputs = [
          pkgs.openssh
          python.checkVenv
        ];
        # Quotes in the command lines are for the suite's own shell.
        excludeShellChecks = [
          "SC2089"
          "SC2090"
        ];
        runtimeEnv = environment // {
          PYTHONDONTWRITEBYTECODE = "1";
        };
        text = ''
          cd ${../../.}
          exec python -m pytest -p no:cacheprovider tests/system/acceptance >&2
        '';
      }
    );

  # Copies, not links into the store: a container that mounts the folder does not see that.
  keys = {
    environment.etc =
      lib.mapAttrs'
        (
          name: text:
          lib.nameValuePair "keys/${name}" {
            inherit text;
            mode = "0444";
          }
        )
        {
          aes = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
          jwt = "sixty-four bytes that are known to everybody who reads this file";
          db = password;
          redis = redisPassword;
        };
  };

  secrets = {
    AES_SECRET = "/etc/keys/aes";
    JWT_SECRET = "/etc/keys/jwt";
  };

  # Runs the suite, and reaches the others to do them harm.
  operator = {
    programs.ssh.extraConfig = ''
      StrictHostKeyChecking no
      UserKnownHostsFile /dev/null
      IdentityFile /root/.ssh/id
    '';
    systemd.tmpfiles.rules = [
      "d /root/.ssh 0700 root root"
      "C /root/.ssh/id 0600 root root - ${snakeOilPrivateKey}"
    ];
  };

  reachable = {
    services.openssh.enable = true;
    users.users.root.openssh.authorizedKeys.keys = [ snakeOilPublicKey ];
  };

  # A user over TCP, with MySQL's own authentication: caching_sha2_password.
  mysql = {
    services.mysql = {
      enable = true;
      package = pkgs.mysql84;
      ensureDatabases = [ "groundwork" ];
      initialScript = pkgs.writeText "users.sql" ''
        CREATE USER 'groundwork'@'%' IDENTIFIED BY '${lib.escape [ "'" "\\" ] password}';
        GRANT ALL ON `groundwork`.* TO 'groundwork'@'%';
      '';
    };
    networking.firewall.allowedTCPPorts = [ 3306 ];
  };

  redis = {
    services.redis.servers."" = {
      enable = true;
      bind = null;
      openFirewall = true;
      requirePass = redisPassword;
      settings.maxmemory-policy = "noeviction";
    };
  };

  machine = {
    virtualisation = {
      memorySize = lib.mkDefault 2048;
      diskSize = 4096;
      cores = 2;
    };
  };

  # The harm that systemd can do to a unit, as the suite's command lines. A stop after the kill, or the
  # unit would be back before anybody has noticed.
  harm = part: unit: {
    "KILL_${part}" = "systemctl kill --signal=KILL ${unit}; systemctl stop ${unit}";
    "START_${part}" = "systemctl start ${unit}";
    "FREEZE_${part}" = "systemctl kill --signal=STOP ${unit}";
    "THAW_${part}" = "systemctl kill --signal=CONT ${unit}";
  };

  over = node: lib.mapAttrs (_: line: "ssh ${node} '${line}'");
}
