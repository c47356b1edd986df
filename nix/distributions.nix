# What every distribution of uv.lock goes through after it is installed, for images: an overlay.
{
  lib,
  python,
}:
let
  # Test suites, what compilers read, the lexers of every language but Python (rich highlights
  # tracebacks), and how wide each brand of terminal draws emoji (Celery's shell): no service imports
  # them.
  prune = ''
    (
      cd "$out/${python.sitePackages}"
      find . -mindepth 2 -type d \( -name test -o -name tests -o -name include \) -prune -exec rm -rf {} +
      find . -type f \( -name '*.a' -o -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' \
        -o -name '*.pxd' -o -name '*.pxi' -o -name '*.pyi' -o -name '*.pyx' \) -delete
      rm -rf sqlalchemy/testing alembic/testing
      rm -f wcwidth/table_grapheme_overrides/_known_*
      if [ -d pygments/lexers ]; then
        find pygments/lexers -type f ! -name '__init__.py' ! -name '_mapping.py' ! -name 'python.py' -delete
      fi
      find . -type f -name '*.so' -exec strip --strip-unneeded {} +
    )
  '';

  # Without bytecode the service starts three times as slowly. One process, a fixed hash seed and no
  # time stamps, because uv's own compilation differs from one build to the next
  # (`tool.uv.compile-bytecode` is off).
  compile = ''
    PYTHONHASHSEED=0 ${python.interpreter} -m compileall -f -q -j1 \
      --invalidation-mode unchecked-hash "$out/${python.sitePackages}"
  '';
in
_final: prev:
lib.genAttrs (map (package: package.name) (lib.importTOML ../uv.lock).package) (
  name:
  prev.${name}.overrideAttrs (old: {
    postInstall = ''
      ${old.postInstall or ""}
      ${lib.optionalString prev.stdenv.hostPlatform.isLinux prune}
      ${compile}
    '';
  })
)
