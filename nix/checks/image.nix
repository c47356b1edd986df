# What the image promises, read from the archive itself: a slip in image.nix, or in the files of a
# dependency, shows here and not in a deployment.
{
  runCommand,
  writeText,
  image,
  jq,
}:
let
  written = writeText "config.json" (builtins.toJSON image.config);
in
runCommand "image-keeps-its-promises" { nativeBuildInputs = [ jq ]; } ''
  tar --extract --file ${image}
  config=$(jq --raw-output '.[0].Config' manifest.json)
  for layer in $(jq --raw-output '.[0].Layers[]' manifest.json); do
    tar --list --verbose --numeric-owner --absolute-names --file "$layer"
  done > files

  promise() {
    jq --exit-status "''${@:2}" "$config" > /dev/null || { echo "no longer true: $1" >&2; exit 1; }
  }
  promise "it runs as uid and gid 65532" '.config.User == "65532:65532"'
  promise "it serves when told nothing else" \
    '.config | .Entrypoint == ["/bin/groundwork"] and .Cmd == ["serve"]'
  promise "it listens on 8000" '.config.ExposedPorts | has("8000/tcp")'
  promise "it speaks UTC and UTF-8" '.config.Env | contains(["TZ=Etc/UTC", "LC_ALL=C.UTF-8"])'
  promise "Python finds the time zones" '.config.Env | any(test("^PYTHONTZPATH=/nix/store/.*/zoneinfo$"))'
  promise "its health check needs no shell" '.config.Healthcheck.Test[0] == "CMD"'
  promise "its configuration is that of nix/oci-config.nix" \
    --slurpfile written ${written} '.config == $written[0]'
  promise "no secret is in its environment" \
    '.config.Env | any(test("^[A-Z_]*(SECRET|PASSWORD|TOKEN|KEY)[A-Z_]*=")) | not'
  promise "its date is not that of the build" '.created | startswith("1970-01-01")'

  has() {
    grep --quiet --extended-regexp "$2" files || { echo "missing: $1" >&2; exit 1; }
  }
  has "a /tmp for everyone" '^drwxrwxrwt 0/0 .* \./tmp/$'
  has "a data folder of its own" '^d.* 65532/65532 .* \./var/lib/groundwork/$'
  has "a folder for exports" '^d.* 65532/65532 .* \./var/lib/groundwork/exports/$'
  has "a folder for logs" '^d.* 65532/65532 .* \./var/lib/groundwork/logs/$'
  has "the settings of production" ' \./configs/\.env\.prod$'
  has "CA certificates" ' \./etc/ssl/certs/ca-certificates\.crt -> '
  has "time zones" '/share/zoneinfo/Asia/Shanghai'
  has "bytecode, for a fast start" '/internal/__pycache__/app\.cpython-.*\.pyc$'

  lacks() {
    ! grep --extended-regexp "$2" files >&2 || { echo "not wanted: $1" >&2; exit 1; }
  }
  lacks "secrets" '/\.secrets'
  beside=$(grep ' \./configs/.' files | grep --invert-match --extended-regexp '/configs/\.env\.[a-z]+$' || true)
  [ -z "$beside" ] || { echo "not wanted beside the settings: $beside" >&2; exit 1; }
  lacks "files that others may write" '^[^l].......w[^t]'
  others=$(awk '$2 != "0/0" && $6 !~ "^\\./var/lib/groundwork/"' files)
  [ -z "$others" ] || { echo "not wanted: files of another owner: $others" >&2; exit 1; }
  lacks "what of the interpreter no service opens" '/(include/python[^/]*|lib/python3[^/]*/(test|idlelib|ensurepip))/.'
  lacks "bytecode of other levels" '\.opt-[12]\.pyc'
  lacks "what only compilers and tests read" '/site-packages/.*(\.pyx|\.h|\.a|/tests/.*)$'
  lacks "setuid and setgid files" '^-(..[sS]|.....[sS])'

  on_path=$(sed --quiet 's|.* \./bin/\([^ ]\+\).*|\1|p' files)
  [ "$on_path" = groundwork ] || { echo "not wanted on PATH: $on_path" >&2; exit 1; }

  touch $out
''
