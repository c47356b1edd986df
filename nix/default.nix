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

  module = import ./module.nix { inherit packages; };

  # Virtual machines of one architecture are enough.
  machines = lib.optionalAttrs (pkgs.stdenv.hostPlatform.system == "x86_64-linux") (
    import ./vm {
      inherit (pkgs) callPackage lib testers;
      inherit images module python;
    }
  );
  small = [
    "vm-image"
    "vm-module"
  ];

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
  packages =
    images
    // removeAttrs machines small
    // {
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
  // lib.filterAttrs (name: _: lib.elem name small) machines
  // lib.optionalAttrs isLinux {
    apps = callPackage ./checks/apps.nix { inherit apps; };
    image = callPackage ./checks/image.nix { inherit (images) image; };
    module = callPackage ./checks/module.nix {
      inherit python;
      inherit module;
    };
    image-budget = callPackage ./checks/image-budget.nix {
      inherit (images) image;
      inherit (python) interpreter;
    };
    oci = callPackage ./checks/oci.nix { inherit (images) image oci; };
  };
}
