# A CycloneDX bill of materials of what an image carries: nix/sbom.py puts it together.
{
  lib,
  cacert,
  closureInfo,
  runCommand,
  tzdata,
  writeText,
  python,
}:
let
  closure = closureInfo {
    rootPaths = [
      python.venv
      cacert
      tzdata
    ];
  };

  # Our own source has no URL, and no wheel of the lock.
  describe = package: {
    name = package.pname;
    inherit (package) version;
    path = "${package}";
    wheel = if package.src ? url then baseNameOf package.src.url else null;
  };

  distributions = writeText "distributions.json" (
    builtins.toJSON (map describe python.distributions)
  );
in
runCommand "groundwork.cdx.json" { } ''
  ${python.interpreter.interpreter} ${./sbom.py} \
    ${distributions} ${../uv.lock} ${closure}/registration > $out
''
