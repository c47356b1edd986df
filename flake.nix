{
  description = "Groundwork: a FastAPI backend that ships as a bit-for-bit reproducible OCI image";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

    pyproject-nix = {
      url = "github:pyproject-nix/pyproject.nix";
      inputs.nixpkgs.follows = "nixpkgs";
    };

    uv2nix = {
      url = "github:pyproject-nix/uv2nix";
      inputs.nixpkgs.follows = "nixpkgs";
      inputs.pyproject-nix.follows = "pyproject-nix";
    };

    pyproject-build-systems = {
      url = "github:pyproject-nix/build-system-pkgs";
      inputs.nixpkgs.follows = "nixpkgs";
      inputs.pyproject-nix.follows = "pyproject-nix";
      inputs.uv2nix.follows = "uv2nix";
    };
  };

  outputs =
    { self, nixpkgs, ... }@inputs:
    let
      inherit (nixpkgs) lib;

      forAllSystems = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
      ];

      # Everything in nix/ for one system: what the outputs below pick from.
      parts = forAllSystems (
        system:
        import ./nix {
          inherit inputs lib;
          inherit (self) packages;
          pkgs = nixpkgs.legacyPackages.${system};
          revision = self.rev or self.dirtyRev or "";
        }
      );
    in
    {
      packages = forAllSystems (system: parts.${system}.packages);

      apps = forAllSystems (system: parts.${system}.apps);

      devShells = forAllSystems (system: {
        default = parts.${system}.shell;
      });

      nixosModules.default = import ./nix/module.nix { inherit (self) packages; };

      # `nix flake init --template`, then `make rename NAME=…`.
      templates.default = {
        path = ./.;
        description = "A FastAPI backend with its image, module, tests and CI";
      };

      checks = forAllSystems (system: parts.${system}.checks);

      formatter = forAllSystems (system: nixpkgs.legacyPackages.${system}.nixfmt-tree);
    };
}
