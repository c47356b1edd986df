# What `make check` asks, each a derivation of its own, on the files that git knows: lint, types, import
# contracts, the tests that need no server; and that what is generated is fresh.
{
  runCommand,
  git,
  gnumake,
  python,
  sbom,
}:
let
  check =
    name: script:
    runCommand name
      {
        nativeBuildInputs = [
          python.checkVenv
          git
          gnumake
        ];
        env.PYTHONDONTWRITEBYTECODE = "1";
      }
      ''
        cp -r ${../../.} source
        chmod -R u+w source
        cd source
        export HOME=$TMPDIR
        ${script}
        touch $out
      '';

  pytest = "python -m pytest -p no:cacheprovider -q";
in
{
  lint = check "code-is-linted" ''
    ruff format --no-cache --check .
    ruff check --no-cache .
  '';

  types = check "types-hold" "mypy --cache-dir $TMPDIR/mypy";

  imports = check "import-contracts-hold" "lint-imports --no-cache";

  unit = check "unit-tests-pass" "${pytest} tests/unit tests/nix";

  sbom = check "sbom-is-valid-and-complete" ''
    SBOM=${sbom} VENV=${python.venv} ${pytest} tests/nix/test_sbom.py
  '';

  openapi = check "openapi-is-fresh" ''
    groundwork openapi | diff docs/openapi.json - ||
      { echo "docs/openapi.json is behind the code: run groundwork openapi > docs/openapi.json" >&2; exit 1; }
  '';
}
