# The interpreter that goes into images: the stock one of nixpkgs, from the binary cache and never
# compiled anew, copied without what a service does not open. The copy's name is as long as the
# original's, so that references to itself are replaced in place, in binaries too.
{
  lib,
  runCommand,
  python312,
  stdenv,
}:
let
  inherit (python312) executable libPrefix;

  attributes = {
    nativeBuildInputs = [ stdenv.cc.bintools ];
    disallowedReferences = [ python312 ];
  };

  # Headers, manuals, IDLE, tests, other bytecode levels; and the modules for terminals and for
  # files in Berkeley DB's manner, with the libraries that only they need.
  trimmed = runCommand python312.name attributes ''
    cp -r ${python312} $out
    chmod -R u+w $out
    cd $out
    rm -rf include share lib/pkgconfig lib/*.a
    find bin -mindepth 1 ! -name 'python' ! -name 'python3' ! -name '${executable}' -delete
    cd lib/${libPrefix}
    rm -rf config-* ensurepip idlelib lib2to3 pydoc_data test tkinter turtle.py turtledemo
    rm -rf site-packages/pip site-packages/pip-* site-packages/setuptools*
    find . -name __pycache__ -prune -exec rm -rf {} +
    cd lib-dynload
    rm -f _curses* _dbm.* _gdbm.* _tkinter.* readline.* _ctypes_test.* _test* _xxtestfuzz.* xx*
    cd $out

    find . -type l -lname '${python312}/*' | while read -r link; do
      target=$(readlink "$link")
      ln -sfn "$out''${target#${python312}}" "$link"
    done
    grep -rlZF ${python312} . | xargs -0 --no-run-if-empty sed -i "s|${python312}|$out|g"

    find . -type f \( -name '*.so' -o -name '*.so.*' \) -exec strip --strip-unneeded {} +

    PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 bin/${executable} -m compileall -f -q -j1 \
      --invalidation-mode unchecked-hash $out/lib/${libPrefix}
  '';

  passthru = python312.passthru // {
    interpreter = "${trimmed}/bin/${executable}";
    # What builds writes its own path into scripts.
    pythonOnBuildForHost = self;
  };

  self =
    trimmed
    // passthru
    // {
      inherit passthru;
      inherit (python312) pname stdenv version;
    };
in
self
