# What `nix run .#NAME` runs.
{
  lib,
  writeShellApplication,
  mysql84,
  redis,
  skopeo,
  images,
  python,
}:
let
  inherit (lib.importTOML ../pyproject.toml) project;

  app = description: script: {
    type = "app";
    program = lib.getExe (writeShellApplication script);
    meta = { inherit description; };
  };
in
{
  default = {
    type = "app";
    program = lib.getExe python.application;
    meta.description = "The groundwork command";
  };

  image-size = app "What the image weighs, by layer and by store path" {
    name = "image-size";
    text = ''
      exec ${python.interpreter.interpreter} ${./image_size.py} "''${1:-${images.image}}" ${./image-budget.json}
    '';
  };

  load = app "Streams the image into docker or podman, whichever is there" {
    name = "load";
    text = ''
      for engine in docker podman; do
        # A client without its daemon is no engine.
        if "$engine" info > /dev/null 2>&1; then
          ${images.image-stream} | "$engine" load
          exit
        fi
      done
      echo "neither docker nor podman answers: is one installed, and its daemon running?" >&2
      exit 1
    '';
  };

  services = app "A MySQL and a Redis with throw-away data; prints the settings for them" {
    name = "services";
    runtimeInputs = [
      mysql84
      python.checkVenv
      redis
    ];
    # The folder of the project's tests, wherever it is called.
    text = ''
      MYSQLD=$(command -v mysqld)
      export MYSQLD PYTHONPATH=${../.} PYTHONDONTWRITEBYTECODE=1
      exec python -m tests.services
    '';
  };

  # The layout's own digest, so what the registry has can be compared with a build.
  push = app "Pushes the image to a registry and prints its digest" {
    name = "push";
    runtimeInputs = [ skopeo ];
    text = ''
      if [ $# -lt 1 ]; then
        echo "usage: nix run .#push -- REFERENCE [skopeo's options]   (registry.example/team/groundwork:1.0)" >&2
        exit 64
      fi
      reference=$1
      shift
      case "$reference" in
        *://* | oci:* | dir:*) ;;
        *) reference=docker://$reference ;;
      esac
      digest=$(mktemp)
      trap 'rm -f "$digest"' EXIT
      skopeo --insecure-policy copy --preserve-digests --digestfile "$digest" "$@" \
        oci:${images.oci}:${project.version} "$reference" >&2
      cat "$digest"
      echo
    '';
  };
}
