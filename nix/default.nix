# The parts of one system, put together. Each part's body is a file of its own.
{
  inputs,
  lib,
  pkgs,
  packages,
  revision,
}:
let
  inherit (pkgs) callPackage callPackages;
  inherit (pkgs.stdenv.hostPlatform) isLinux;

  python = callPackage ./python.nix { inherit inputs; };
  ociConfig = callPackage ./oci-config.nix { inherit revision version; };
  images =
    if isLinux then
      let
        built = callPackages ./image.nix { inherit ociConfig python; };
      in
      built // { oci = callPackage ./oci.nix { inherit (built) image; }; }
    else
      callPackages ./image-elsewhere.nix { };

  sbom = callPackage ./sbom.nix { inherit python; };

  # Not by callPackages, which adds attributes that an app may not have.
  apps = import ./apps.nix {
    inherit (pkgs)
      lib
      writeShellApplication
      mysql84
      redis
      skopeo
      ;
    inherit images python;
  };

  inherit (lib.importTOML ../pyproject.toml) project;
  inherit (project) version;
in
{
  packages = images // {
    default = python.application;
    inherit sbom;
  };

  inherit apps;

  shell = callPackage ./shell.nix { inherit python; };

  checks = {
    application = python.application;
    formatting = callPackage ./checks/formatting.nix { };
    lock = callPackage ./checks/lock.nix { inherit (python) interpreter; };
  }
  // callPackages ./checks/python.nix { inherit python sbom; }
  // lib.optionalAttrs isLinux {
    apps = callPackage ./checks/apps.nix { inherit apps; };
    image = callPackage ./checks/image.nix { inherit (images) image; };
    module = callPackage ./checks/module.nix {
      inherit python;
      module = import ./module.nix { inherit packages; };
    };
    image-budget = callPackage ./checks/image-budget.nix {
      inherit (images) image;
      inherit (python) interpreter;
    };
    oci = callPackage ./checks/oci.nix { inherit (images) image oci; };
  };
}
