# The Nix files are as `nix fmt` leaves them.
{ runCommand, nixfmt }:
runCommand "nix-files-are-formatted" { nativeBuildInputs = [ nixfmt ]; } ''
  find ${../../.} -name '*.nix' -exec nixfmt --check {} + ||
    { echo "run nix fmt" >&2; exit 1; }
  touch $out
''
