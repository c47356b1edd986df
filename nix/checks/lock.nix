# uv.lock says what pyproject.toml asks for. Needs no network: uv only compares the two.
{
  lib,
  runCommand,
  interpreter,
  uv,
}:
let
  source = lib.fileset.toSource {
    root = ../../.;
    fileset = lib.fileset.unions [
      ../../pyproject.toml
      ../../uv.lock
    ];
  };
in
runCommand "uv-lock-is-current" { nativeBuildInputs = [ uv ]; } ''
  cp ${source}/* .
  UV_PYTHON=${interpreter.interpreter} UV_CACHE_DIR=$PWD/cache uv lock --locked --offline ||
    { echo "uv.lock is behind pyproject.toml: run uv lock" >&2; exit 1; }
  touch $out
''
