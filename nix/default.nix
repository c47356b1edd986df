# The parts of one system, put together. Each part's body is a file of its own.
{
  inputs,
  lib,
  pkgs,
  revision,
}:
let
  inherit (pkgs) callPackage callPackages;
  inherit (pkgs.stdenv.hostPlatform) isLinux;

  python = callPackage ./python.nix { inherit inputs; };
  ociConfig = callPackage ./oci-config.nix { inherit revision version; };
  images = if isLinux then callPackages ./image.nix { inherit ociConfig python; } else noImages;
  noImages = callPackages ./image-elsewhere.nix { };

  inherit (lib.importTOML ../pyproject.toml) project;
  inherit (project) version;
in
{
  packages = images // {
    default = python.application;
  };

  shell = callPackage ./shell.nix { inherit python; };

  checks = {
    application = python.application;
    lock = callPackage ./checks/lock.nix { inherit (python) interpreter; };
  }
  // lib.optionalAttrs isLinux {
    image = callPackage ./checks/image.nix { inherit (images) image; };
  };
}
