# The Python package set: nixpkgs' interpreter, the wheels of uv.lock, and our own package.
{
  inputs,
  lib,
  callPackage,
  python312,
  stdenv,
}:
let
  inherit (inputs) pyproject-nix uv2nix pyproject-build-systems;

  interpreter = python312;

  workspace = uv2nix.lib.workspace.loadWorkspace { workspaceRoot = ../.; };

  # Only what the wheel is made of: a change elsewhere rebuilds nothing. Filtered here and not at
  # the workspace's root, which would make evaluation build things.
  ownSource = _final: prev: {
    groundwork = prev.groundwork.overrideAttrs {
      src = lib.fileset.toSource {
        root = ../.;
        fileset = lib.fileset.unions [
          ../LICENSE
          ../README.md
          ../pyproject.toml
          (lib.fileset.fileFilter (file: !file.hasExt "pyc") ../internal)
        ];
      };
    };
  };

  baseSet =
    python:
    (callPackage pyproject-nix.build.packages { inherit python; }).overrideScope (
      lib.composeManyExtensions [
        pyproject-build-systems.overlays.wheel
        (workspace.mkPyprojectOverlay { sourcePreference = "wheel"; })
      ]
    );

  # A signed Mach-O binary cannot be edited, and no image is made there.
  shipped = if stdenv.hostPlatform.isLinux then callPackage ./interpreter.nix { } else interpreter;

  set = (baseSet shipped).overrideScope (
    lib.composeManyExtensions [
      ownSource
      (callPackage ./distributions.nix { python = shipped; })
    ]
  );

  # Changes to the checkout show at once; hatchling needs `editables` for it.
  editableSet = (baseSet interpreter).overrideScope (
    lib.composeManyExtensions [
      (workspace.mkEditablePyprojectOverlay { root = "$REPO_ROOT"; })
      (final: prev: {
        groundwork = prev.groundwork.overrideAttrs (old: {
          nativeBuildInputs = old.nativeBuildInputs ++ final.resolveBuildSystem { editables = [ ]; };
        });
      })
    ]
  );

  stockSet = (baseSet interpreter).overrideScope ownSource;

  everything.groundwork = [
    "dev"
    "embedded"
    "otel"
  ];

  inherit (callPackage pyproject-nix.build.util { }) mkApplication;
in
rec {
  inherit interpreter;

  # What production runs.
  venv = set.mkVirtualEnv "groundwork-env" { groundwork = [ "otel" ]; };

  # What is installed in it, ours first.
  distributions = lib.unique ([ set.groundwork ] ++ set.resolveVirtualEnv { groundwork = [ "otel" ]; });

  # The same with the twins of MySQL and Redis.
  demoVenv = set.mkVirtualEnv "groundwork-demo-env" { groundwork = [ "embedded" ]; };

  # The checkout itself, with every extra and the tools that `make check` calls.
  devVenv = editableSet.mkVirtualEnv "groundwork-dev-env" everything;

  # Ours as in production, with the tools and the test libraries, for checks.
  checkVenv = stockSet.mkVirtualEnv "groundwork-check-env" everything;

  # `groundwork` alone: none of the commands that dependencies bring.
  application =
    (mkApplication {
      inherit venv;
      package = set.groundwork;
    }).overrideAttrs
      (old: {
        meta = (old.meta or { }) // {
          mainProgram = "groundwork";
        };
      });
}
