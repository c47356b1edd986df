# What the image says of itself: a function from what it runs to the OCI configuration.
# https://github.com/opencontainers/image-spec/blob/main/config.md
{
  lib,
  tzdata,
  revision,
  version,
}:
{
  title,
  venv,
  environment,
}:
let
  second = 1000 * 1000 * 1000;
  zones = "${tzdata}/share/zoneinfo";

  # The hash of the store path: which build this is, to the bit.
  buildHash = builtins.substring 0 32 (baseNameOf (builtins.unsafeDiscardStringContext venv.outPath));

  variables = {
    CONFIG_DIR = "/configs";
    GROUNDWORK_BUILD = buildHash;
    GROUNDWORK_REVISION = revision;
    LANG = "C.UTF-8";
    LC_ALL = "C.UTF-8";
    PYTHONDONTWRITEBYTECODE = "1";
    PYTHONIOENCODING = "utf-8";
    # Its zoneinfo looks where it was configured to, and not into TZDIR. Celery needs one zone to start.
    PYTHONTZPATH = zones;
    PYTHONUNBUFFERED = "1";
    # The usual place: a deployment's own bundle is mounted over it.
    SSL_CERT_FILE = "/etc/ssl/certs/ca-certificates.crt";
    TZ = "Etc/UTC";
    TZDIR = zones;
  }
  // environment;
in
{
  Entrypoint = [ "/bin/groundwork" ];
  Cmd = [ "serve" ];
  User = "65532:65532";
  WorkingDir = "/";
  Env = lib.mapAttrsToList (name: value: "${name}=${value}") ({ PATH = "/bin"; } // variables);
  ExposedPorts."8000/tcp" = { };

  # Docker's own field: an OCI layout has none, and Kubernetes ignores it.
  Healthcheck = {
    Test = [
      "CMD"
      "${venv}/bin/python"
      "-I"
      "-m"
      "internal.healthcheck"
    ];
    Interval = 30 * second;
    Timeout = 10 * second;
    StartPeriod = 5 * second;
    Retries = 3;
  };

  Labels = {
    "org.opencontainers.image.title" = title;
    "org.opencontainers.image.description" = "A FastAPI backend: the groundwork service";
    "org.opencontainers.image.licenses" = "Apache-2.0";
    "org.opencontainers.image.version" = version;
  }
  // lib.optionalAttrs (revision != "") {
    # A source that is no git checkout has none.
    "org.opencontainers.image.revision" = revision;
  };
}
