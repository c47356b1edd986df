# `nix develop`: the checkout installed editable, with everything that the Makefile calls on PATH.
{
  mkShell,
  git,
  gnumake,
  haproxy,
  mariadb,
  mysql84,
  nixfmt-tree,
  prometheus,
  python,
  redis,
  uv,
  wrk,
}:
mkShell {
  packages = [
    python.devVenv
    git
    gnumake
    haproxy
    # Before mariadb, which has a mysqld, too.
    mysql84
    mariadb
    nixfmt-tree
    prometheus.cli # promtool
    redis
    uv
    wrk
  ];

  env = {
    # uv only keeps the lock here: the environment is Nix's.
    UV_NO_SYNC = "1";
    UV_PYTHON = python.interpreter.interpreter;
    UV_PYTHON_DOWNLOADS = "never";
  };

  shellHook = ''
    unset PYTHONPATH
    export REPO_ROOT=$(git rev-parse --show-toplevel)
    export MYSQLD=$(command -v mysqld)
  '';
}
