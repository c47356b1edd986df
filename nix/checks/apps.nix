# Every app is built, its script read by shellcheck, and its program there.
{
  lib,
  runCommand,
  apps,
}:
runCommand "apps-build" { } ''
  for program in ${toString (lib.mapAttrsToList (_: app: app.program) apps)}; do
    [ -x "$program" ] || { echo "no program: $program" >&2; exit 1; }
  done
  touch $out
''
