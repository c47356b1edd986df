# The OCI layout is the image: the same configuration, labels and layers.
{
  runCommand,
  jq,
  image,
  oci,
}:
runCommand "oci-layout-is-the-image" { nativeBuildInputs = [ jq ]; } ''
  tar --extract --file ${image} --wildcards manifest.json '*.json'
  docker=$(jq --raw-output '.[0].Config' manifest.json)

  blob() { echo "${oci}/blobs/''${1/://}"; }
  manifest=$(blob "$(jq --raw-output '.manifests[0].digest' ${oci}/index.json)")
  config=$(blob "$(jq --raw-output .config.digest "$manifest")")

  same() {
    [ "$(jq --sort-keys "$2" "$docker")" = "$(jq --sort-keys "$2" "$config")" ] ||
      { echo "differs from the image: $1" >&2; exit 1; }
  }
  same "labels" .config.Labels
  same "user, command and environment" '.config | {User, Entrypoint, Cmd, Env, ExposedPorts, WorkingDir}'
  same "layers" .rootfs.diff_ids
  jq --exit-status '.config.Labels | has("org.opencontainers.image.version")' "$config" > /dev/null

  for digest in $(jq --raw-output '.layers[].digest' "$manifest"); do
    [ "$(sha256sum < "$(blob "$digest")")" = "''${digest#sha256:}  -" ] ||
      { echo "damaged: $digest" >&2; exit 1; }
  done
  touch $out
''
