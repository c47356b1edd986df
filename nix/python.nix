# The Python package set: nixpkgs' interpreter, the wheels of uv.lock, and our own package.
{
  inputs,
  lib,
  callPackage,
  python312,
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

  # Bytecode, because without it the service starts three times as slowly; one process, a fixed hash
  # seed and no time stamps, because uv's own compilation differs from one build to the next
  # (`tool.uv.compile-bytecode` is off).
  bytecode =
    _final: prev:
    lib.genAttrs (map (package: package.name) (lib.importTOML ../uv.lock).package) (
      name:
      prev.${name}.overrideAttrs (old: {
        postInstall = ''
          ${old.postInstall or ""}
          PYTHONHASHSEED=0 ${interpreter.interpreter} -m compileall -f -q -j1 \
            --invalidation-mode unchecked-hash "$out/${interpreter.sitePackages}"
        '';
      })
    );

  baseSet = (callPackage pyproject-nix.build.packages { python = interpreter; }).overrideScope (
    lib.composeManyExtensions [
      pyproject-build-systems.overlays.wheel
      (workspace.mkPyprojectOverlay { sourcePreference = "wheel"; })
    ]
  );

  set = baseSet.overrideScope (
    lib.composeManyExtensions [
      ownSource
      bytecode
    ]
  );

  # Changes to the checkout show at once; hatchling needs `editables` for it.
  editableSet = baseSet.overrideScope (
    lib.composeManyExtensions [
      (workspace.mkEditablePyprojectOverlay { root = "$REPO_ROOT"; })
      (final: prev: {
        groundwork = prev.groundwork.overrideAttrs (old: {
          nativeBuildInputs = old.nativeBuildInputs ++ final.resolveBuildSystem { editables = [ ]; };
        });
      })
    ]
  );

  inherit (callPackage pyproject-nix.build.util { }) mkApplication;
in
rec {
  inherit interpreter;

  # What production runs.
  venv = set.mkVirtualEnv "groundwork-env" { groundwork = [ ]; };

  # The same with the twins of MySQL and Redis.
  demoVenv = set.mkVirtualEnv "groundwork-demo-env" { groundwork = [ "embedded" ]; };

  # The checkout itself, with every extra and the tools that `make check` calls.
  devVenv = editableSet.mkVirtualEnv "groundwork-dev-env" {
    groundwork = [
      "dev"
      "embedded"
    ];
  };

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
