# The image as an OCI layout: what a registry gets, layers compressed, its digest known before it is
# pushed. Docker's health check has no field in it; labels are kept.
{
  lib,
  runCommand,
  skopeo,
  image,
}:
let
  inherit (lib.importTOML ../pyproject.toml) project;
in
runCommand "groundwork-oci" { nativeBuildInputs = [ skopeo ]; } ''
  skopeo --tmpdir "$TMPDIR" --insecure-policy copy --quiet \
    docker-archive:${image} oci:$out:${project.version}
''
