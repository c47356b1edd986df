# Where no Linux image can be built, the attributes are there and say so when they are built: they
# evaluate, so that `nix flake check --all-systems` and `nix flake show` work everywhere.
{ lib, runCommandLocal }:
lib.genAttrs
  [
    "image"
    "image-stream"
    "image-demo"
    "oci"
  ]
  (
    name:
    runCommandLocal name { } ''
      echo "groundwork: ${name} is made on Linux: set up a Linux builder and run" \
        "nix build .#packages.aarch64-linux.${name}" >&2
      exit 1
    ''
  )
