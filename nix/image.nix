# The images. No base image: the closure of the virtual environment, a layer for each store path, so
# that a change of our code ships again our own package, the environment and the last layer alone.
{
  lib,
  dockerTools,
  ociConfig,
  python,
}:
let
  inherit (lib.importTOML ../pyproject.toml) project;

  configs = import ./configs.nix { inherit lib; };

  users = dockerTools.fakeNss.override {
    extraPasswdLines = [ "groundwork:x:65532:65532:groundwork:/var/lib/groundwork:/sbin/nologin" ];
    extraGroupLines = [ "groundwork:x:65532:" ];
  };

  arguments =
    {
      name,
      venv,
      environment,
    }:
    {
      inherit name;
      tag = project.version;
      # What Docker takes. Store paths beyond it share one layer, and ours would be among them.
      maxLayers = 125;
      contents = [
        users
        dockerTools.caCertificates
      ];
      # created and mtime stay at their default, 1970-01-01T00:00:01Z: never the time of the build.
      config = ociConfig {
        title = name;
        inherit venv environment;
      };
      extraCommands = ''
        mkdir -p bin configs var/lib/groundwork/exports var/lib/groundwork/logs
        mkdir -m 1777 tmp
        ln -s ${venv}/bin/groundwork bin/groundwork
        cp ${configs}/.env.* configs/
      '';
      # A volume that is mounted on one of them first takes its owner.
      fakeRootCommands = "chown -R 65532:65532 var/lib/groundwork";
    };

  production = arguments {
    name = "groundwork";
    inherit (python) venv;
    environment.DATA_DIR = "/var/lib/groundwork";
  };

  demo = arguments {
    name = "groundwork-demo";
    venv = python.demoVenv;
    environment = {
      APP_ENV = "local";
      DATA_DIR = "/tmp/groundwork";
    };
  };

  # Plain tar: every loader reads it (podman and skopeo of Debian 12 cannot read a gzipped archive),
  # and its bytes depend on no compressor and no number of cores. Registries compress layers anew.
  buildTar = image: dockerTools.buildLayeredImage (image // { compressor = "none"; });
in
{
  # With what it is to say of itself, for checks.
  image = buildTar production // {
    inherit (production) config;
  };
  image-stream = dockerTools.streamLayeredImage production;
  image-demo = buildTar demo;
}
